//! A call as it is sent.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Response};
use matrixon_runtime::{random, role::Role, telemetry};
use tokio::time::Instant;
use tonic::body::Body;

use crate::{
    body::{Gathered, Patience, Whole, gather},
    request::{self, CollectResponse, IDEMPOTENCY_KEY, Replayable, ServerStreaming},
};

/// The largest request and the largest unary answer that are held to be sent or asked for again.
pub(crate) const UNARY_LIMIT: usize = 4 << 20;

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
    pub(crate) fn new(role: Role, mut request: Request<Body>, is_grpc: bool, deadline: Option<Instant>) -> Self {
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
