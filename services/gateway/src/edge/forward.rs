//! Sending a request to its service, and what comes back.

use std::{future::ready, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header, request};
use http_body_util::{BodyExt as _, Full};
use matrixon_http::{MatrixError, RouteKind, assertion::LIFETIME_MS, header as ours};
use matrixon_rpc::{
    AffinityKey, Buffered, Deadline, Idempotent, Replayable, RpcError, call_buffered, request::DRAINING,
};
use matrixon_runtime::{role::Role, shutdown::Shutdown};
use tokio::time::sleep;

use super::{Parts, access::AccessEntry, headers::query_value};
use crate::config::Config;

/// A long poll is given this much longer than it asks to wait.
const LONG_POLL_SLACK: Duration = Duration::from_secs(10);
const MAX_LONG_POLL: Duration = Duration::from_mins(10);

/// Long polls that begin while the process drains may still wait this long, lest their clients spin.
const PARK_WHILE_DRAINING: Duration = Duration::from_secs(1);

/// What services get to see of a client's headers. Everything else stays here: tokens, hop-by-hop headers, forged ones of ours.
const FORWARDED: [HeaderName; 11] = [
    header::ACCEPT_LANGUAGE,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::RANGE,
    header::USER_AGENT,
    HeaderName::from_static("grpc-encoding"),
    HeaderName::from_static("traceparent"),
];

/// What of a service's response is not for clients.
const WITHHELD: [HeaderName; 8] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::TRAILER,
    header::DATE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static(DRAINING),
    HeaderName::from_static(ours::REFUSED),
];

/// What a request needs beside what the client sent.
pub(super) struct Draft {
    pub(super) role: Role,
    /// Without the path's trailing slash.
    pub(super) shorter: bool,
    pub(super) affinity: Option<AffinityKey>,
    pub(super) identity: HeaderValue,
    pub(super) wait: Duration,
}

/// A request that may go out.
pub(super) struct Outgoing {
    role: Role,
    request: Request<tonic::body::Body>,
    /// What to answer if this process goes away meanwhile.
    parked: Option<Bytes>,
}

impl Draft {
    pub(super) fn complete(self, kind: RouteKind, head: &request::Parts, body: Bytes) -> Result<Outgoing, MatrixError> {
        let mut request = Request::new(tonic::body::Body::empty());
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = target(&head.uri, self.shorter)?;
        let headers = request.headers_mut();
        for name in &FORWARDED {
            if let Some(value) = head.headers.get(name) {
                headers.insert(name, detached(value)?);
            }
        }
        if let Some(value) = head.headers.get(header::AUTHORIZATION).filter(|value| is_server_auth(value)) {
            headers.insert(header::AUTHORIZATION, detached(value)?);
        }
        headers.insert(ours::IDENTITY, self.identity);
        let extensions = request.extensions_mut();
        extensions.insert(Replayable(body));
        // The assertion carries an idempotency key: services do a request once however often it arrives.
        extensions.insert(Idempotent);
        extensions.insert(Deadline::after(self.wait));
        if let Some(affinity) = self.affinity {
            extensions.insert(affinity);
        }
        Ok(Outgoing { role: self.role, request, parked: parked_answer(kind, &head.uri) })
    }
}

impl Outgoing {
    /// 503 ← no replica of the service can be reached · 504 ← no answer in time
    pub(super) async fn send(self, parts: &Parts, entry: &mut AccessEntry) -> Result<Response<Body>, MatrixError> {
        let Self { role, request, parked } = self;
        let rpc = parts.peers.role(role);
        let call = Box::pin(call_buffered(&rpc, request, parts.config.response_buffer_bytes));
        let answered = match parked {
            None => call.await,
            Some(empty) => tokio::select! {
                biased;
                answered = call => answered,
                () = drained(&parts.shutdown) => return Ok(super::json_response(StatusCode::OK, empty)),
            },
        };
        let response = answered.map_err(|error| unanswered(&error, role))?;
        received(response, entry)
    }
}

/// A copy: values as they were parsed keep the connection's whole read buffer alive.
fn detached(value: &HeaderValue) -> Result<HeaderValue, MatrixError> {
    HeaderValue::from_bytes(value.as_bytes()).map_err(|_| MatrixError::invalid_param("a header is malformed"))
}

/// How long a request may take.
pub(super) fn patience(kind: RouteKind, uri: &Uri, config: &Config) -> Duration {
    let short = Duration::from_secs(config.request_timeout_seconds);
    if kind != RouteKind::LongPoll {
        return short;
    }
    let asked = query_value(uri.query().unwrap_or_default(), "timeout").and_then(|timeout| timeout.parse().ok());
    let asked = Duration::from_millis(asked.unwrap_or(0)).min(MAX_LONG_POLL);
    (asked + LONG_POLL_SLACK).max(short)
}

/// An assertion outlives the request, so that a late attempt at another replica is not refused.
pub(super) fn assertion_lifetime_ms(wait: Duration) -> i64 {
    LIFETIME_MS.max(wait.as_millis() as i64 + 5_000)
}

/// The path and the query; without the access token where it is one of the client API.
fn target(uri: &Uri, shorter: bool) -> Result<Uri, MatrixError> {
    let path = uri.path();
    let path = if shorter { path.strip_suffix('/').unwrap_or(path) } else { path };
    let query = uri.query().unwrap_or_default();
    let target = if path.starts_with("/_matrix/client/") && query.contains("access_token=") {
        let kept: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("access_token=")).collect();
        if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) }
    } else if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{query}")
    };
    target.parse().map_err(|_| MatrixError::invalid_param("the path or query is malformed"))
}

fn is_server_auth(value: &HeaderValue) -> bool {
    value.as_bytes().get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"x-matrix"))
}

/// What a parked `/sync` is answered with when this process goes away: nothing new, the same token.
fn parked_answer(kind: RouteKind, uri: &Uri) -> Option<Bytes> {
    if kind != RouteKind::LongPoll || !uri.path().ends_with("/sync") {
        return None;
    }
    let since = query_value(uri.query()?, "since")?;
    let since = percent_encoding::percent_decode_str(since).decode_utf8().ok()?;
    Some(Bytes::from(serde_json::json!({ "next_batch": since }).to_string()))
}

async fn drained(shutdown: &Shutdown) {
    if shutdown.draining() {
        sleep(PARK_WHILE_DRAINING).await;
    }
    shutdown.wait_draining().await;
}

fn unanswered(error: &RpcError, role: Role) -> MatrixError {
    tracing::warn!(%error, %role, "a service did not answer");
    if error.is_unavailable() {
        return MatrixError::unavailable();
    }
    MatrixError::unknown(error.http_status(), "the server could not answer in time")
}

fn received(response: Response<Buffered>, entry: &mut AccessEntry) -> Result<Response<Body>, MatrixError> {
    let (mut parts, body) = response.into_parts();
    entry.take_database_cost(&mut parts.headers);
    if parts.headers.contains_key(ours::REFUSED) {
        tracing::error!("a service refused our assertion: `cluster.secret` or the clocks of the processes differ");
        return Err(MatrixError::unavailable());
    }
    withhold(&mut parts.headers);
    parts.extensions = http::Extensions::new();
    let body = match body {
        Buffered::Whole { data, trailers: None } => Body::from(data),
        Buffered::Whole { data, trailers: Some(trailers) } => {
            Body::new(Full::new(data).with_trailers(ready(Some(Ok(trailers)))))
        }
        Buffered::Streaming(body) => Body::new(body),
    };
    Ok(Response::from_parts(parts, body))
}

fn withhold(headers: &mut HeaderMap) {
    for name in &WITHHELD {
        headers.remove(name);
    }
}
