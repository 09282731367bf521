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
use tonic::{Status, body::Body};
use tower::{ServiceExt, util::BoxCloneSyncService};

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
    merged.layer(middleware::from_fn(bound_grpc)).route(READY_PATH, probe)
}

async fn bound_grpc(request: Request, next: Next) -> Response {
    let content_type = request.headers().get(http::header::CONTENT_TYPE);
    let is_grpc = content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
    match request::grpc_timeout(request.headers()).filter(|_| is_grpc) {
        None => next.run(request).await,
        Some(limit) => bounded(limit, next.run(request)).await,
    }
}

async fn bounded(limit: Duration, call: impl Future<Output = Response>) -> Response {
    match tokio::time::timeout(limit, call).await {
        Ok(response) => response,
        Err(_) => Status::deadline_exceeded("the deadline of the call has passed")
            .into_http::<axum::body::Body>()
            .into_response(),
    }
}
