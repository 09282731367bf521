//! One call to a role: deadline, metrics and the shape of errors, whether the role is here or elsewhere.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use futures::future::BoxFuture;
use http::{Request, Response};
use matrixon_runtime::role::Role;
use tokio::time::{Instant, timeout_at};
use tonic::{Code, body::Body};
use tower::{Service, ServiceExt};

use crate::{
    Rpc, RpcError, attempts,
    body::Whole,
    call::{Call, collect},
    metrics,
    replica::members::Members,
    request,
};

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
        None => run_at(&target, call).await,
        Some(at) => match timeout_at(at, run_at(&target, call)).await {
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

async fn run_at(target: &Target, call: Call) -> Result<Response<Body>, RpcError> {
    match target {
        Target::Local(service) => {
            let response = service.clone().oneshot(call.request).await?;
            let Some(limit) = call.collect else { return Ok(response) };
            collect(response, limit).await.map_err(|status| RpcError::Other(Arc::new(status)))
        }
        Target::Remote(members) => attempts::run(members, call).await,
        Target::Nowhere => Err(RpcError::NotConfigured { role: call.role }),
    }
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
