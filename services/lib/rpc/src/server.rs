//! The callee's side: the router of the cluster listener.

use std::{convert::Infallible, time::Duration};

use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use http::StatusCode;
use matrixon_runtime::telemetry;
use tonic::{Status, body::Body};
use tower::{ServiceExt, util::BoxCloneSyncService};
use tracing::{Instrument as _, Span, field::Empty};

use crate::{Rpc, request};

/// Where [`crate::Peers`] asks whether a replica takes calls.
pub const READY_PATH: &str = "/readyz";

/// A role of this process as an [`Rpc`]: a call is a function call.
pub fn local(router: Router) -> Rpc {
    let service = router
        .map_request(|request: http::Request<Body>| request.map(axum::body::Body::new))
        .map_response(|response: Response| response.map(Body::new))
        .map_err(|never: Infallible| match never {});
    BoxCloneSyncService::new(service)
}

/// Merges the routers of a process's roles (HTTP slices and gRPC) and adds `GET /readyz`: 200 while `ready` says so, then
/// 503. `ready` is asked twice a second by every peer, so it must only look at what is known already.
/// A gRPC call whose `grpc-timeout` has passed is dropped and answered `DEADLINE_EXCEEDED`.
pub fn server_router(
    routers: impl IntoIterator<Item = Router>,
    ready: impl Fn() -> bool + Clone + Send + Sync + 'static,
) -> Router {
    let probe = get(move || {
        let status = if ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        std::future::ready(status)
    });
    let merged = routers.into_iter().fold(Router::new(), Router::merge);
    merged.layer(middleware::from_fn(serve_grpc)).route(READY_PATH, probe)
}

async fn serve_grpc(request: Request, next: Next) -> Response {
    if !request::is_grpc(request.uri().path()) {
        return next.run(request).await;
    }
    let span = span_of(&request);
    let limit = request::grpc_timeout(request.headers());
    let call = next.run(request).instrument(span);
    match limit {
        None => call.await,
        Some(limit) => bounded(limit, call).await,
    }
}

/// What a call does belongs to the trace of its caller; without one it is worth no span.
fn span_of(request: &Request) -> Span {
    if !telemetry::continues(request.headers()) {
        return Span::none();
    }
    let span =
        tracing::info_span!("grpc.serve", rpc.method = request.uri().path(), otel.kind = "server", trace_id = Empty);
    telemetry::set_parent(&span, request.headers());
    span
}

async fn bounded(limit: Duration, call: impl Future<Output = Response>) -> Response {
    match tokio::time::timeout(limit, call).await {
        Ok(response) => response,
        Err(_) => Status::deadline_exceeded("the deadline of the call has passed")
            .into_http::<axum::body::Body>()
            .into_response(),
    }
}
