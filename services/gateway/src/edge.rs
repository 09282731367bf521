//! One request through the edge: route, identity, limit, body, forward, respond; and one access line.

mod access;
pub(crate) mod admin;
mod body;
mod compress;
mod forward;
mod headers;
pub(crate) mod refusals;
#[cfg(test)]
mod tests;

use std::{
    convert::Infallible,
    future::Future,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{body::Body, extract::ConnectInfo, response::IntoResponse as _};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, request};
use http_body::Body as _;
use matrixon_http::{Access, Assertion, AuthKind, MatrixError, RouteInfo, RouteKind, Signer, UserAuth};
use matrixon_rpc::{AffinityKey, Peers};
use matrixon_runtime::{
    clock::Clock,
    metrics::http::{Kind, RouteMetrics},
    random,
    role::Role,
    shutdown::Shutdown,
    telemetry,
};
use tracing::{Instrument as _, field::Empty};

use self::{
    access::AccessEntry,
    compress::Encoding,
    forward::{Draft, Outgoing},
    refusals::Refused,
};
use crate::{
    address::client_address,
    config::Config,
    identity::{Identity, Origin},
    limit::Limiter,
    local::Documents,
    table::{Match, Route, Table},
};

/// Which listener a request came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Federation,
    /// Administration alone.
    Admin,
}

/// The service of a public listener: clone it for each connection, serve it with `runtime::serve`.
#[derive(Clone)]
pub struct Edge {
    parts: Arc<Parts>,
    side: Side,
}

pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) table: Table,
    pub(crate) documents: Documents,
    pub(crate) identity: Identity,
    pub(crate) admin_token: admin::AdminToken,
    pub(crate) refusals: refusals::Refusals,
    pub(crate) limiter: Limiter,
    pub(crate) signer: Signer,
    pub(crate) peers: Peers,
    pub(crate) shutdown: Shutdown,
    pub(crate) clock: Clock,
    pub(crate) unmatched: RouteMetrics,
}

/// Requests to paths or with methods that nobody knows are one route in the metrics.
pub(crate) fn unmatched_metrics() -> RouteMetrics {
    RouteMetrics::new("gateway", "any", access::UNMATCHED, Kind::Short)
}

impl<B> tower::Service<Request<B>> for Edge
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let edge = self.clone();
        let request = request.map(Body::new);
        Box::pin(async move { Ok(edge.serve(request).await) })
    }
}

/// What a path and method lead to on this listener.
enum Target {
    Route {
        route: Arc<Route>,
        path_affinity: Option<AffinityKey>,
        shorter: bool,
    },
    /// Nothing to forward: the answer is known.
    Answer {
        name: &'static str,
        response: Response<Body>,
    },
}

impl Edge {
    pub(crate) fn new(parts: Arc<Parts>, side: Side) -> Self {
        Self { parts, side }
    }

    async fn serve(self, request: Request<Body>) -> Response<Body> {
        let (head, mut body) = request.into_parts();
        let peer = head.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let remote = client_address(peer, &head.headers, &self.parts.config.trusted_proxies);
        let request_id = headers::request_id(&head.headers).unwrap_or_else(|| random::id(16));
        let mut entry = AccessEntry::new(head.method.clone(), remote, request_id);
        let encoding = self.encoding(&head);
        let head_only = head.method == Method::HEAD;
        let expects_continue = head.headers.contains_key(http::header::EXPECT);
        let mut response = match self.target(&head) {
            Target::Answer { name, response } => {
                entry.set_name(name);
                response
            }
            Target::Route { route, path_affinity, shorter } => {
                entry.set_route(route.clone());
                let timer = route.metrics.start();
                let span = tracing::info_span!(
                    "gateway.request",
                    http.request.method = %head.method,
                    http.route = %route.info.path,
                    request.id = entry.request_id(),
                    otel.kind = "server",
                    otel.status_code = Empty,
                    http.response.status_code = Empty,
                    trace_id = Empty,
                );
                telemetry::set_parent(&span, &head.headers);
                entry.set_trace(telemetry::trace_id(&span));
                let exchange = Exchange { route: &route, path_affinity, shorter, remote };
                let answered = self.answer(exchange, head, &mut body, &mut entry).instrument(span.clone()).await;
                let response = answered.unwrap_or_else(|error| match route.info.kind {
                    RouteKind::Rpc => admin::rpc_error(error),
                    RouteKind::Short | RouteKind::LongPoll => error_response(error),
                });
                timer.finish(response.status().as_u16());
                telemetry::record_outcome(&span, response.status());
                response
            }
        };
        if !body::skip(body, expects_continue).await {
            close(&mut response);
        }
        let mut response = compress::compress(response, encoding).await;
        headers::finish(response.headers_mut(), self.side, entry.request_id());
        entry.finish(if head_only { headers::without_body(response) } else { response })
    }

    fn encoding(&self, head: &request::Parts) -> Option<Encoding> {
        let wanted = self.parts.config.compression && head.method != Method::HEAD;
        wanted.then(|| Encoding::accepted(&head.headers)).flatten()
    }

    fn target(&self, head: &request::Parts) -> Target {
        let path = head.uri.path();
        if head.method == Method::OPTIONS && self.side != Side::Federation {
            return Target::Answer { name: access::PREFLIGHT, response: headers::preflight() };
        }
        if let Some(document) =
            self.parts.documents.find(path).filter(|one| one.federation || self.side == Side::Client)
        {
            let answer = document.answer(&head.method, self.parts.shutdown.draining());
            let response = answer.map_or_else(error_response, |(status, body)| json_response(status, body));
            document.metrics.start().finish(response.status().as_u16());
            return Target::Answer { name: document.path, response };
        }
        let matched = if self.serves(path) { self.parts.table.find(&head.method, path) } else { Match::Nothing };
        let response = match matched {
            Match::Found { route, path_affinity, shorter } => {
                return Target::Route { route: route.clone(), path_affinity, shorter };
            }
            Match::Methods(methods) => headers::method_not_allowed(&methods),
            Match::Nothing => MatrixError::unrecognized(StatusCode::NOT_FOUND).into_response(),
        };
        self.parts.unmatched.start().finish(response.status().as_u16());
        Target::Answer { name: access::UNMATCHED, response }
    }

    /// The federation port is not a second client port; administration may have a port of its own.
    fn serves(&self, path: &str) -> bool {
        match self.side {
            Side::Client => self.parts.config.admin_on_client_port || !admin::is_admin_path(path),
            Side::Federation => path.starts_with("/_matrix/federation/") || path.starts_with("/_matrix/key/"),
            Side::Admin => admin::is_admin_path(path),
        }
    }

    async fn answer(
        &self,
        exchange: Exchange<'_>,
        head: request::Parts,
        body: &mut Body,
        entry: &mut AccessEntry,
    ) -> Result<Response<Body>, MatrixError> {
        let route = exchange.route;
        let info = &route.info;
        let may_revoke = info.role == Role::Auth && !head.method.is_safe();
        let parked = if info.kind == RouteKind::LongPoll { Parked::new(&head, exchange.remote) } else { None };
        // Boxed, so that all it needs is given back before a long poll waits.
        let outgoing = Box::pin(self.prepare(exchange, head, body, entry)).await?;
        let response = outgoing.send(&self.parts, entry).await?;
        if let Some(parked) = parked {
            Box::pin(parked.check(&self.parts, info.access)).await?;
        }
        if let Some(user) = entry.requester().filter(|_| may_revoke && response.status().is_success()) {
            // Who has just logged out must not be served once more while the revocation is on its way.
            self.parts.identity.forget_user(user.user_id.as_str());
        }
        Ok(response)
    }

    /// Everything before the request may go out. The body is taken when the request is one that may have it.
    async fn prepare(
        &self,
        exchange: Exchange<'_>,
        head: request::Parts,
        body: &mut Body,
        entry: &mut AccessEntry,
    ) -> Result<Outgoing, MatrixError> {
        let info = &exchange.route.info;
        let admitted = self.admit(&exchange, &head, entry).await;
        if let Err(error) = &admitted
            && info.auth == AuthKind::Admin
        {
            let refused = Refused { info, path: head.uri.path(), remote: exchange.remote, error };
            Box::pin(self.parts.refusals.note(&self.parts, refused, entry)).await;
        }
        let (user, machine) = admitted?;
        let user_id = user.as_ref().map(|user| user.user_id.as_str());
        self.parts.limiter.check(info.limit, user_id, exchange.remote).await?;
        let body = if head.method == Method::GET || head.method == Method::HEAD {
            if body.is_end_stream() {
                // a long poll need not keep it
                drop(std::mem::take(body));
            }
            Bytes::new()
        } else {
            let limit = info.body_limit.min(self.parts.config.max_body_bytes);
            body::read(std::mem::take(body), &head.headers, limit, self.parts.config.body_timeout_seconds).await?
        };
        let affinity = exchange.route.affinity(exchange.path_affinity, user_id);
        let wait = forward::patience(info.kind, &head.uri, &self.parts.config);
        let caller = user_id.or(machine.as_deref()).unwrap_or_default();
        let idempotency_key = admin::idempotency_key(info.auth, &head.headers, caller);
        let assertion = Assertion {
            user,
            machine,
            remote_addr: Some(exchange.remote),
            request_id: entry.request_id().to_owned(),
            idempotency_key,
            expires_ms: self.parts.clock.now_ms() + forward::assertion_lifetime_ms(wait),
        };
        let identity = self.parts.signer.sign(&assertion);
        let draft = Draft { role: info.role, shorter: exchange.shorter, affinity, identity, wait };
        draft.complete(info.kind, &head, body)
    }

    /// Who asks, and whether they may: an account, or what stands for a machine.
    async fn admit(
        &self,
        exchange: &Exchange<'_>,
        head: &request::Parts,
        entry: &mut AccessEntry,
    ) -> Result<(Option<UserAuth>, Option<String>), MatrixError> {
        let info = &exchange.route.info;
        let machine = self.parts.admin_token.machine(info.auth, head)?;
        let user = match machine {
            Some(_) => None,
            None => self.identify(info, head, exchange.remote).await?,
        };
        entry.set_requester(user.as_ref());
        if let Some(user) = &user {
            check_user(info, user)?;
        }
        Ok((user, machine))
    }

    async fn identify(
        &self,
        info: &RouteInfo,
        head: &request::Parts,
        remote: IpAddr,
    ) -> Result<Option<UserAuth>, MatrixError> {
        if info.auth == AuthKind::None {
            return Ok(None);
        }
        match headers::access_token(head)? {
            Some(token) => {
                let user_agent = head.headers.get(http::header::USER_AGENT).and_then(|agent| agent.to_str().ok());
                let admits = |user: &UserAuth| check_user(info, user).is_ok();
                self.parts.identity.resolve(&token, Origin { remote, user_agent }, admits).await.map(Some)
            }
            None if info.auth == AuthKind::Optional => Ok(None),
            None => Err(MatrixError::missing_token()),
        }
    }
}

/// A request that waits for news. Whoever made it may log out, or be locked, while it waits.
struct Parked {
    token: Box<str>,
    remote: IpAddr,
}

impl Parked {
    fn new(head: &request::Parts, remote: IpAddr) -> Option<Self> {
        let token = headers::access_token(head).ok().flatten()?.into();
        Some(Self { token, remote })
    }

    /// May the answer still be given? That the auth service is away is no reason to keep it back.
    async fn check(self, parts: &Parts, access: Access) -> Result<(), MatrixError> {
        let origin = Origin { remote: self.remote, user_agent: None };
        let admits = |user: &UserAuth| access.check(user.standing).is_ok();
        match parts.identity.resolve(&self.token, origin, admits).await {
            Ok(user) => access.check(user.standing),
            Err(error) if error.status.is_server_error() => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// A request whose route is known.
struct Exchange<'a> {
    route: &'a Arc<Route>,
    path_affinity: Option<AffinityKey>,
    shorter: bool,
    remote: IpAddr,
}

/// Whether a route serves an account.
fn check_user(info: &RouteInfo, user: &UserAuth) -> Result<(), MatrixError> {
    info.access.check(user.standing)?;
    admin::check_permission(info.auth, user)
}

fn error_response(error: MatrixError) -> Response<Body> {
    let unread = matches!(error.status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT);
    let mut response = error.into_response();
    if unread {
        close(&mut response);
    }
    response
}

/// The rest of the body is not read, so the connection cannot go on. (HTTP/2 leaves the header out.)
fn close(response: &mut Response<Body>) {
    response.headers_mut().insert(http::header::CONNECTION, HeaderValue::from_static("close"));
}

fn json_response(status: StatusCode, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
