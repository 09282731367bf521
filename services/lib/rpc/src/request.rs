//! What a caller says about a call, as extensions of its `http::Request`.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request};
use tokio::time::Instant;
use tonic::GrpcMethod;

/// Header (and gRPC metadata) that marks a request as safe to repeat: the callee does it once per key.
pub const IDEMPOTENCY_KEY: &str = "x-matrixon-idempotency-key";
/// `1` in an answer that the replica gave without doing anything, because it is going away.
pub const DRAINING: &str = "x-matrixon-draining";

const GRPC_TIMEOUT: &str = "grpc-timeout";

/// Sends calls with the same key to the same replica for as long as that is ready: locality of caches, never correctness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AffinityKey(pub u64);

impl AffinityKey {
    /// The same on every process and version, so that all gateways choose the same replica.
    pub fn of(text: &str) -> Self {
        Self(crate::select::stable_hash(text.as_bytes()))
    }
}

/// The moment after which nobody waits for the response any more. Covers the call up to the response's head, and the
/// body as well where that is collected (gRPC, [`crate::call_buffered`]).
#[derive(Clone, Copy, Debug)]
pub struct Deadline(pub Instant);

impl Deadline {
    pub fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }
}

/// The whole request body. It is sent in place of the request's own body, again for each attempt.
#[derive(Clone, Debug)]
pub struct Replayable(pub Bytes);

/// Doing this request twice is the same as doing it once.
#[derive(Clone, Copy, Debug)]
pub struct Idempotent;

/// The gRPC method streams its answer. Without this mark the answer is taken for unary and collected, so that a replica
/// that dies in the middle of it costs another attempt and not an error.
#[derive(Clone, Copy, Debug)]
pub struct ServerStreaming;

/// Collect the response body up to so many bytes; set by [`crate::call_buffered`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct CollectResponse(pub(crate) usize);

/// Generated clients leave this mark. A content type would not do: a forwarded request has the one that its sender chose.
pub(crate) fn grpc_method<B>(request: &Request<B>) -> Option<String> {
    let method = request.extensions().get::<GrpcMethod<'static>>()?;
    Some(format!("{}/{}", method.service(), method.method()))
}

/// By its path: tonic serves calls of whatever content type, and routes of HTTP are all under `/_matrix`.
pub fn is_grpc(path: &str) -> bool {
    path.starts_with("/matrixon.")
}

/// May the request be done twice? gRPC always: [`crate::Peers`] adds an idempotency key where the caller gave none.
pub(crate) fn is_idempotent<B>(request: &Request<B>) -> bool {
    const SAFE: [Method; 5] = [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS];
    SAFE.contains(request.method())
        || request.extensions().get::<Idempotent>().is_some()
        || request.headers().contains_key(IDEMPOTENCY_KEY)
        || request.extensions().get::<GrpcMethod<'static>>().is_some()
}

/// The earlier one of the extension and `grpc-timeout`.
pub(crate) fn deadline<B>(request: &Request<B>) -> Option<Instant> {
    let extension = request.extensions().get::<Deadline>().map(|deadline| deadline.0);
    let is_grpc = request.extensions().get::<GrpcMethod<'static>>().is_some();
    let header = grpc_timeout(request.headers()).filter(|_| is_grpc).map(|time| Instant::now() + time);
    extension.into_iter().chain(header).min()
}

/// `grpc-timeout: 500m` and the like; up to 8 digits and a unit.
pub(crate) fn grpc_timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(GRPC_TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

/// Tells the callee how long anybody still waits.
pub(crate) fn set_grpc_timeout(headers: &mut HeaderMap, left: Duration) {
    let millis = left.as_millis().min(99_999_999);
    if let Ok(value) = HeaderValue::try_from(format!("{millis}m")) {
        headers.insert(GRPC_TIMEOUT, value);
    }
}
