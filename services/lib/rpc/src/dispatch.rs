//! One call to a role: deadline, metrics and the shape of errors, whether the role is here or elsewhere.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Request, Response};
use matrixon_runtime::{random, role::Role, telemetry};
use tokio::time::{Instant, timeout_at};
use tonic::{Code, body::Body};
use tower::{Service, ServiceExt};

use crate::{
    Rpc, RpcError,
    body::{Gathered, Patience, Whole, gather},
    metrics,
    replica::members::Members,
    request::{self, CollectResponse, IDEMPOTENCY_KEY, Replayable, ServerStreaming},
};

/// The largest request and the largest unary answer that are held to be sent or asked for again.
pub(crate) const UNARY_LIMIT: usize = 4 << 20;

#[derive(Clone)]
pub(crate) enum Target {
    Local(Rpc),
    Remote(Arc<Members>),
    Nowhere,
}

#[derive(Clone)]
pub(crate) struct Dispatch {
    role: Role,
    target: Target,
}

impl Dispatch {
    pub(crate) fn new(role: Role, target: Target) -> Self {
        Self { role, target }
    }
}

impl Service<Request<Body>> for Dispatch {
    type Response = Response<Body>;
    type Error = RpcError;
    type Future = BoxFuture<'static, Result<Response<Body>, RpcError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), RpcError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(run(self.role, self.target.clone(), request))
    }
}

async fn run(role: Role, target: Target, request: Request<Body>) -> Result<Response<Body>, RpcError> {
    let started = Instant::now();
    let method = request::grpc_method(&request);
    let deadline = request::deadline(&request);
    let call = Call::new(role, request, method.is_some(), deadline);
    let result = match deadline {
        None => call.run(&target).await,
        Some(at) => match timeout_at(at, call.run(&target)).await {
            Ok(result) => result,
            Err(_) => Err(RpcError::DeadlineExceeded { role }),
        },
    };
    let Some(method) = method else { return result };
    let mut response = result.unwrap_or_else(|error| error.to_status().into_http());
    metrics::grpc_call(role, &method, grpc_code(&response), started.elapsed());
    response.extensions_mut().remove::<Whole>();
    Ok(response)
}

/// A request and what its sender said about it.
pub(crate) struct Call {
    pub(crate) role: Role,
    pub(crate) request: Request<Body>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) is_grpc: bool,
    pub(crate) idempotent: bool,
    /// Collect the response body up to here.
    pub(crate) collect: Option<usize>,
}

impl Call {
    fn new(role: Role, mut request: Request<Body>, is_grpc: bool, deadline: Option<Instant>) -> Self {
        let idempotent = request::is_idempotent(&request);
        let headers = request.headers_mut();
        strip_connection_headers(headers);
        telemetry::inject(headers);
        if is_grpc && !headers.contains_key(IDEMPOTENCY_KEY) {
            // Whoever does not give a key says that doing it twice is harmless or that the callee should see to it.
            let key = HeaderValue::try_from(random::id(24)).expect("random ids are alphanumeric");
            headers.insert(IDEMPOTENCY_KEY, key);
        }
        if let Some(left) = deadline.map(|at| at.saturating_duration_since(Instant::now())).filter(|_| is_grpc) {
            request::set_grpc_timeout(headers, left.max(Duration::from_millis(1)));
        }
        let asked = request.extensions().get::<CollectResponse>().map(|collect| collect.0);
        let unary = is_grpc && request.extensions().get::<ServerStreaming>().is_none();
        let collect = asked.or(unary.then_some(UNARY_LIMIT));
        if let Some(Replayable(data)) = request.extensions_mut().remove::<Replayable>() {
            set_length(request.headers_mut(), data.len());
            *request.body_mut() = Whole { data, trailers: None }.into_body();
        }
        Self { role, request, deadline, is_grpc, idempotent, collect }
    }

    async fn run(self, target: &Target) -> Result<Response<Body>, RpcError> {
        match target {
            Target::Local(service) => {
                let response = service.clone().oneshot(self.request).await?;
                let Some(limit) = self.collect else { return Ok(response) };
                collect(response, limit).await.map_err(|status| RpcError::Other(Arc::new(status)))
            }
            Target::Remote(members) => crate::attempts::run(members, self).await,
            Target::Nowhere => Err(RpcError::NotConfigured { role: self.role }),
        }
    }
}

/// They are about the client's connection: HTTP/2 has no use for them, and a peer must refuse some (RFC 9113, 8.2.2).
fn strip_connection_headers(headers: &mut HeaderMap) {
    for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "host"] {
        headers.remove(name);
    }
    if headers.get("te").is_some_and(|te| te != "trailers") {
        headers.remove("te");
    }
}

/// The body is the extension's: a length that a client gave to an earlier form of it must not be believed.
fn set_length(headers: &mut HeaderMap, length: usize) {
    if length > 0 || headers.contains_key(http::header::CONTENT_LENGTH) {
        headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from(length));
    }
}

/// Reads the body; a whole one is left as an extension for [`crate::call_buffered`].
pub(crate) async fn collect(response: Response<Body>, limit: usize) -> Result<Response<Body>, tonic::Status> {
    let (mut parts, body) = response.into_parts();
    let body = match gather(body, limit, Patience::Wait).await? {
        Gathered::Whole(whole) => {
            parts.extensions.insert(whole.clone());
            whole.into_body()
        }
        Gathered::Open(body) => body,
    };
    Ok(Response::from_parts(parts, body))
}

/// The code of a call, which a server that streams has not said yet: its beginning counts as `OK`.
fn grpc_code(response: &Response<Body>) -> Code {
    let whole = response.extensions().get::<Whole>();
    let trailers = whole.and_then(|whole| whole.trailers.as_ref());
    let status = trailers.into_iter().chain([response.headers()]).find_map(|headers| headers.get("grpc-status"));
    match status {
        Some(code) => Code::from_bytes(code.as_bytes()),
        None if response.status() != http::StatusCode::OK => Code::Unknown,
        None => Code::Ok,
    }
}
