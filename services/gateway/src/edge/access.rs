//! The access log: exactly one line a request, whatever becomes of it.

use std::{
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use http::{Method, Response};
use http_body::{Body as _, Frame, SizeHint};
use matrixon_http::{UserAuth, header};
use tokio::time::Instant;

use crate::table::Route;

/// The route's name for requests that lead nowhere.
pub(super) const UNMATCHED: &str = "unmatched";
pub(super) const PREFLIGHT: &str = "preflight";

/// nginx's number for a client that went away before the answer.
const CLIENT_CLOSED: u16 = 499;

/// Logs when dropped.
pub(super) struct AccessEntry(Box<Entry>);

struct Entry {
    method: Method,
    name: &'static str,
    route: Option<Arc<Route>>,
    started: Instant,
    status: u16,
    bytes: u64,
    db_queries: u64,
    db_us: u64,
    requester: Option<UserAuth>,
    request_id: String,
    trace_id: Option<String>,
    remote: IpAddr,
}

impl AccessEntry {
    pub(super) fn new(method: Method, remote: IpAddr, request_id: String) -> Self {
        Self(Box::new(Entry {
            method,
            name: UNMATCHED,
            route: None,
            started: Instant::now(),
            status: CLIENT_CLOSED,
            bytes: 0,
            db_queries: 0,
            db_us: 0,
            requester: None,
            request_id,
            trace_id: None,
            remote,
        }))
    }

    pub(super) fn set_trace(&mut self, trace_id: Option<String>) {
        self.0.trace_id = trace_id;
    }

    pub(super) fn request_id(&self) -> &str {
        &self.0.request_id
    }

    pub(super) fn set_name(&mut self, name: &'static str) {
        self.0.name = name;
    }

    pub(super) fn set_route(&mut self, route: Arc<Route>) {
        self.0.route = Some(route);
    }

    pub(super) fn set_requester(&mut self, user: Option<&UserAuth>) {
        self.0.requester = user.cloned();
    }

    pub(super) fn requester(&self) -> Option<&UserAuth> {
        self.0.requester.as_ref()
    }

    /// Takes what the service says its database cost (`<queries>;<microseconds>`) out of its response.
    pub(super) fn take_database_cost(&mut self, headers: &mut http::HeaderMap) {
        let Some(cost) = headers.remove(header::DATABASE) else { return };
        let numbers = cost.to_str().ok().and_then(|cost| cost.split_once(';'));
        if let Some((queries, micros)) = numbers {
            self.0.db_queries = queries.parse().unwrap_or(0);
            self.0.db_us = micros.parse().unwrap_or(0);
        }
    }

    /// The line is written now, or when the last byte of a streamed body has been sent.
    pub(super) fn finish(mut self, response: Response<Body>) -> Response<Body> {
        self.0.status = response.status().as_u16();
        if let Some(length) = response.body().size_hint().exact() {
            self.0.bytes = length;
            return response;
        }
        response.map(|body| Body::new(Logged { body, entry: self }))
    }
}

impl Drop for AccessEntry {
    fn drop(&mut self) {
        let entry = &self.0;
        tracing::info!(
            target: "access",
            method = entry.method.as_str(),
            route = entry.route.as_ref().map_or(entry.name, |route| route.info.path.as_str()),
            status = entry.status,
            duration_us = entry.started.elapsed().as_micros() as u64,
            bytes = entry.bytes,
            db_queries = entry.db_queries,
            db_us = entry.db_us,
            requester = entry.requester.as_ref().map_or("-", |user| user.user_id.as_str()),
            request_id = entry.request_id.as_str(),
            trace_id = entry.trace_id.as_deref(),
            remote = %entry.remote,
            "request"
        );
    }
}

/// A streamed body whose line is written when it ends or is given up.
struct Logged {
    body: Body,
    entry: AccessEntry,
}

impl http_body::Body for Logged {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.entry.0.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
