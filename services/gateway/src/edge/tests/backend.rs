//! Services behind the edge: an auth service over gRPC and a router with a few routes.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use axum::{body::Body, extract::State};
use http::{HeaderMap, Method, Request, StatusCode};
use matrixon_http::{
    AdminAuth, LimitClass, Matrix, MatrixError, NoAuth, OptionalAuth, Raw, RawJson, RouteOptions, Routes, UserAuth,
    Verifier, header::IDENTITY,
};
use matrixon_proto::auth::v1 as proto;
use matrixon_rpc::local;
use matrixon_runtime::config::Secret;
use parking_lot::Mutex;
use ruma::api::client::account::whoami;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;
use tower::ServiceExt as _;

use super::super::*;
use crate::{Deps, Limit, RateLimits, Service, build};

pub(super) const SECRET: &str = "a secret of the cluster of the tests";

pub(super) struct Fixture {
    service: Service,
    pub(super) auth: AuthBackend,
    pub(super) bus: matrixon_bus::Bus,
    pub(super) shutdown: Shutdown,
    /// Told when a `/sync` waits.
    pub(super) parked: Arc<Notify>,
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) raw: Bytes,
    pub(super) body: Value,
}

impl Answer {
    pub(super) fn error(&self) -> (u16, String) {
        (self.status.as_u16(), self.body["errcode"].as_str().unwrap_or_default().to_owned())
    }
}

pub(super) struct Asked(Request<Body>);

pub(super) fn request(method: &str, path: &str) -> Asked {
    Asked(Request::builder().method(method).uri(path).body(Body::empty()).unwrap())
}

pub(super) fn get(path: &str) -> Asked {
    request("GET", path)
}

pub(super) fn post(path: &str, body: impl Into<Body>) -> Asked {
    Asked(request("POST", path).0.map(|_| body.into()))
}

impl Asked {
    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.0.headers_mut().insert(name, value.parse().unwrap());
        self
    }

    pub(super) fn method(mut self, method: &str) -> Self {
        *self.0.method_mut() = method.parse().unwrap();
        self
    }

    pub(super) fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }
}

impl Fixture {
    pub(super) async fn start() -> Self {
        Self::with_service_secret(SECRET).await
    }

    pub(super) async fn with_service_secret(service_secret: &str) -> Self {
        Self::build(service_secret, matrixon_rpc::Config::default(), Vec::new()).await
    }

    /// More routes, whose services are elsewhere.
    pub(super) async fn with_replicas(discovery: matrixon_rpc::Config, more: Vec<matrixon_http::RouteInfo>) -> Self {
        Self::build(SECRET, discovery, more).await
    }

    pub(super) fn client(&self) -> Edge {
        self.service.client.clone()
    }

    async fn build(service_secret: &str, discovery: matrixon_rpc::Config, more: Vec<matrixon_http::RouteInfo>) -> Self {
        let (auth, shutdown, parked) = (AuthBackend::default(), Shutdown::new(), Arc::new(Notify::new()));
        let verifier = Verifier::new(service_secret.as_bytes(), None, Clock::system());
        let auth_router = tonic::service::Routes::new(proto::auth_server::AuthServer::new(auth.clone()))
            .add_service(proto::audit_log_server::AuditLogServer::new(auth.clone()))
            .into_axum_router();
        let locals = HashMap::from([
            (Role::Auth, local(auth_router.merge(auth_routes().into_router(auth.clone(), verifier.clone())))),
            (Role::Room, local(routes().into_router(parked.clone(), verifier))),
        ]);
        let bus = matrixon_bus::Bus::connect(&matrixon_bus::Config::default()).await.unwrap();
        let deps = Deps {
            peers: Peers::new(discovery, locals, shutdown.clone()),
            bus: bus.clone(),
            cache: matrixon_cache::Cache::connect(&matrixon_cache::Config::default()).await.unwrap(),
            routes: [routes().table(), auth_routes().table(), more].concat(),
            cluster: matrixon_runtime::config::ClusterConfig { secret: Secret::new(SECRET), ..Default::default() },
            server: matrixon_runtime::config::ServerConfig {
                client_base_url: Some("https://matrix.example.org".to_owned()),
                federation_base_url: Some("matrix.example.org:443".to_owned()),
                ..Default::default()
            },
            shutdown: shutdown.clone(),
            clock: Clock::system(),
        };
        let login = Limit { per_second: 0.001, burst: 1.0 };
        let config = Config { rate_limits: RateLimits { login, ..RateLimits::default() }, ..Config::default() };
        let service = build(&config, deps).await.unwrap();
        Self { service, auth, bus, shutdown, parked }
    }

    pub(super) async fn send(&self, asked: Asked) -> Answer {
        answer(self.service.client.clone(), asked).await
    }

    pub(super) async fn send_federation(&self, asked: Asked) -> Answer {
        answer(self.service.federation.clone(), asked).await
    }

    /// Returns when the revocations are followed.
    pub(super) async fn followed(&self) {
        self.auth.0.polled.notified().await;
        while self.auth.0.polls.load(Ordering::Acquire) < 2 {
            self.bus.publish(crate::identity::SUBJECT, Bytes::new());
            self.auth.0.polled.notified().await;
        }
    }
}

async fn answer(edge: Edge, Asked(mut request): Asked) -> Answer {
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([192, 0, 2, 1], 4_000))));
    let (parts, body) = edge.oneshot(request).await.unwrap().into_parts();
    let raw = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    Answer { status: parts.status, headers: parts.headers, body: serde_json::from_slice(&raw).unwrap_or_default(), raw }
}

type Parked = Arc<Notify>;

fn routes() -> Routes<Parked> {
    let limited = RouteOptions::any().limit(LimitClass::Login);
    Routes::new(Role::Room)
        .ruma(whoami, RouteOptions::user())
        .raw(Method::GET, "/_matrix/client/v3/echo", echo, RouteOptions::any())
        .raw(Method::POST, "/_matrix/client/v3/echo", echo, RouteOptions::any().body_limit(1_000))
        .raw(Method::PUT, "/_matrix/client/v3/rooms/{room_id}/echo/{key}", echo, RouteOptions::room())
        .raw(Method::GET, "/_matrix/client/v3/optional", optional, RouteOptions::user())
        .raw(Method::POST, "/_matrix/client/v3/limited", echo, limited)
        .raw(Method::GET, "/_matrix/client/v3/long", long, RouteOptions::any())
        .raw(Method::GET, "/_matrix/client/v3/sync", park, RouteOptions::user().long_poll())
}

fn auth_routes() -> Routes<AuthBackend> {
    Routes::new(Role::Auth).raw(Method::POST, "/_matrix/client/v3/logout", log_out, RouteOptions::user()).raw(
        Method::POST,
        "/_matrixon/admin/v1/users/{user}/lock",
        administer,
        RouteOptions::any(),
    )
}

async fn administer(_: State<AuthBackend>, _: Raw<AdminAuth>) -> Result<RawJson, MatrixError> {
    Ok(RawJson(Bytes::from_static(b"{}")))
}

async fn log_out(State(auth): State<AuthBackend>, _: Raw<UserAuth>) -> Result<RawJson, MatrixError> {
    auth.revoke("good");
    Ok(RawJson(Bytes::from_static(b"{}")))
}

async fn whoami(
    _: State<Parked>,
    Matrix { auth, .. }: Matrix<whoami::v3::Request, UserAuth>,
) -> Result<whoami::v3::Response, MatrixError> {
    matrixon_runtime::query_stats::record(std::time::Duration::from_micros(40));
    Ok(whoami::v3::Response::new(auth.user_id, false))
}

async fn echo(_: State<Parked>, raw: Raw<NoAuth>) -> Result<RawJson, MatrixError> {
    let mut names: Vec<&str> = raw.parts.headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    let seen = json!({
        "query": raw.parts.uri.query(),
        "headers": names,
        "body": String::from_utf8_lossy(&raw.body),
        "remote": raw.meta.remote_addr,
    });
    Ok(RawJson(seen.to_string().into()))
}

async fn optional(_: State<Parked>, raw: Raw<OptionalAuth>) -> Result<RawJson, MatrixError> {
    Ok(RawJson(json!({ "user": raw.auth.0.map(|user| user.user_id) }).to_string().into()))
}

async fn long(_: State<Parked>, _: Raw<NoAuth>) -> Result<RawJson, MatrixError> {
    Ok(RawJson(json!({ "events": vec!["the same again"; 1_000] }).to_string().into()))
}

async fn park(State(parked): State<Parked>, _: Raw<UserAuth>) -> Result<RawJson, MatrixError> {
    parked.notify_one();
    std::future::pending().await
}

/// Tokens `good` and `new` are alice's, `expired` can be refreshed.
#[derive(Clone, Default)]
pub(super) struct AuthBackend(Arc<Backend>);

#[derive(Default)]
struct Backend {
    revoked: Mutex<Vec<proto::Revocation>>,
    away: AtomicBool,
    promoted: AtomicBool,
    locked: AtomicBool,
    look_ups: AtomicUsize,
    sightings: Mutex<Vec<proto::Sighting>>,
    /// Who had what recorded.
    records: Mutex<Vec<(Assertion, proto::RecordAuditRequest)>>,
    deaf: AtomicBool,
    polls: AtomicUsize,
    polled: Notify,
}

impl AuthBackend {
    /// An empty token: all of alice's are looked up again.
    pub(super) fn revoke(&self, token: &str) {
        let mut revoked = self.0.revoked.lock();
        let position = revoked.len() as i64 + 1;
        let mut revocation = proto::Revocation { position, user_id: "@alice:x".to_owned(), ..Default::default() };
        if !token.is_empty() {
            revocation.device_id = "D".to_owned();
            revocation.token_sha256 = Sha256::digest(token.as_bytes()).to_vec().into();
        }
        revoked.push(revocation);
    }

    /// Alice is an administrator now; the bell is lost.
    pub(super) fn promote(&self) {
        self.0.promoted.store(true, Ordering::Release);
        self.revoke("");
    }

    /// Likewise.
    pub(super) fn set_locked(&self, locked: bool) {
        self.0.locked.store(locked, Ordering::Release);
        self.revoke("");
    }

    pub(super) fn go_away(&self) {
        self.0.away.store(true, Ordering::Release);
    }

    /// Nothing is recorded any more.
    pub(super) fn stop_recording(&self) {
        self.0.deaf.store(true, Ordering::Release);
    }

    pub(super) fn records(&self) -> Vec<(Assertion, proto::RecordAuditRequest)> {
        self.0.records.lock().clone()
    }

    pub(super) fn look_ups(&self) -> usize {
        self.0.look_ups.load(Ordering::Acquire)
    }

    fn here(&self) -> Result<(), tonic::Status> {
        if self.0.away.load(Ordering::Acquire) { Err(tonic::Status::unavailable("away")) } else { Ok(()) }
    }
}

#[tonic::async_trait]
impl proto::auth_server::Auth for AuthBackend {
    async fn authenticate(
        &self,
        request: tonic::Request<proto::AuthenticateRequest>,
    ) -> Result<tonic::Response<proto::AuthenticateResponse>, tonic::Status> {
        self.here()?;
        self.0.look_ups.fetch_add(1, Ordering::AcqRel);
        let token = request.into_inner().access_token;
        let revoked = self.0.revoked.lock();
        let hash = Sha256::digest(token.as_bytes());
        let alive = ["good", "new"].contains(&token.as_str()) && revoked.iter().all(|one| *one.token_sha256 != *hash);
        if !alive {
            return Err(MatrixError::unknown_token(token == "expired").into());
        }
        Ok(tonic::Response::new(proto::AuthenticateResponse {
            user_id: "@alice:x".to_owned(),
            device_id: "D".to_owned(),
            admin: self.0.promoted.load(Ordering::Acquire),
            locked: self.0.locked.load(Ordering::Acquire),
            revocations_position: revoked.len() as i64,
            ..Default::default()
        }))
    }

    async fn list_revocations(
        &self,
        request: tonic::Request<proto::ListRevocationsRequest>,
    ) -> Result<tonic::Response<proto::ListRevocationsResponse>, tonic::Status> {
        self.here()?;
        let since = request.into_inner().since;
        let revoked = self.0.revoked.lock();
        let position = revoked.len() as i64;
        let since = if since < 0 { position } else { since };
        let revocations = revoked[since as usize..].to_vec();
        self.0.polls.fetch_add(1, Ordering::AcqRel);
        self.0.polled.notify_one();
        Ok(tonic::Response::new(proto::ListRevocationsResponse { position, revocations, gap: false }))
    }

    async fn finish_departure(
        &self,
        _: tonic::Request<proto::FinishDepartureRequest>,
    ) -> Result<tonic::Response<proto::FinishDepartureResponse>, tonic::Status> {
        Err(tonic::Status::unimplemented("not needed here"))
    }

    async fn report_sightings(
        &self,
        request: tonic::Request<proto::ReportSightingsRequest>,
    ) -> Result<tonic::Response<proto::ReportSightingsResponse>, tonic::Status> {
        self.0.sightings.lock().extend(request.into_inner().sightings);
        Ok(tonic::Response::new(proto::ReportSightingsResponse {}))
    }

    async fn get_profiles(
        &self,
        _: tonic::Request<proto::GetProfilesRequest>,
    ) -> Result<tonic::Response<proto::GetProfilesResponse>, tonic::Status> {
        Err(tonic::Status::unimplemented("not needed here"))
    }
}

#[tonic::async_trait]
impl proto::audit_log_server::AuditLog for AuthBackend {
    async fn record(
        &self,
        request: tonic::Request<proto::RecordAuditRequest>,
    ) -> Result<tonic::Response<proto::RecordAuditResponse>, tonic::Status> {
        if self.0.deaf.load(Ordering::Acquire) {
            return Err(tonic::Status::unavailable("deaf"));
        }
        let identity = request.metadata().get(IDENTITY).unwrap().to_str().unwrap().parse().unwrap();
        let assertion = Verifier::new(SECRET.as_bytes(), None, Clock::system()).verify(Some(&identity)).unwrap();
        self.0.records.lock().push((assertion, request.into_inner()));
        Ok(tonic::Response::new(proto::RecordAuditResponse {}))
    }
}
