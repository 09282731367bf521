//! One request through the door: assertion, path, query, body; then the erased handler; then what it cost.

use std::{panic::AssertUnwindSafe, sync::Arc};

use axum::{
    RequestExt as _,
    extract::{RawPathParams, Request},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures::{FutureExt as _, future::BoxFuture};
use http::{HeaderValue, Method, StatusCode};
use matrixon_runtime::{
    metrics::http::{Kind, RouteMetrics},
    query_stats, telemetry,
};
use tracing::{Instrument as _, field::Empty};

use crate::{
    access::Access,
    assertion::{Assertion, Verifier},
    error::MatrixError,
    header,
    matrix::Incoming,
    route::{BodyKind, RouteInfo, RouteKind},
    strict,
};

pub(super) type Run<S> = Box<dyn Fn(S, Incoming) -> BoxFuture<'static, Result<Response, MatrixError>> + Send + Sync>;

pub(super) struct Endpoint<S> {
    route: String,
    access: Access,
    body: BodyKind,
    /// Bodies of PUT say what to put; those of POST may be left out by old clients.
    body_required: bool,
    body_limit: usize,
    /// How many path arguments the handler expects; aliases may have fewer.
    arguments: usize,
    metrics: RouteMetrics,
    run: Arc<Run<S>>,
}

impl<S: Clone + Send + Sync + 'static> Endpoint<S> {
    pub(super) fn new(info: &RouteInfo, body: BodyKind, arguments: usize, run: Arc<Run<S>>) -> Self {
        let kind = match info.kind {
            RouteKind::Short | RouteKind::Rpc => Kind::Short,
            RouteKind::LongPoll => Kind::LongPoll,
        };
        Self {
            route: info.path.clone(),
            access: info.access,
            body: if info.method == Method::GET { BodyKind::Bytes } else { body },
            body_required: info.method == Method::PUT,
            body_limit: info.body_limit,
            arguments,
            metrics: RouteMetrics::new(info.role.as_str(), info.method.as_str(), &info.path, kind),
            run,
        }
    }

    pub(super) async fn serve(&self, state: S, verifier: &Verifier, request: Request) -> Response {
        let timer = self.metrics.start();
        let assertion = match verifier.verify(request.headers().get(header::IDENTITY)) {
            Ok(assertion) => assertion,
            Err(error) => {
                tracing::warn!(%error, route = %self.route, "refused a request without a valid assertion");
                timer.finish(StatusCode::UNAUTHORIZED.as_u16());
                return refusal();
            }
        };
        let span = tracing::info_span!(
            "http.serve",
            http.route = %self.route,
            request.id = %assertion.request_id,
            otel.kind = "server",
            otel.status_code = Empty,
            http.response.status_code = Empty,
            trace_id = Empty,
        );
        telemetry::set_parent(&span, request.headers());
        let handled = AssertUnwindSafe(self.handle(state, assertion, request)).catch_unwind();
        let (handled, cost) = query_stats::scope(handled.instrument(span.clone())).await;
        let result = handled.unwrap_or_else(|_panic| {
            span.in_scope(|| tracing::error!(route = %self.route, "a handler panicked"));
            Err(MatrixError::internal())
        });
        let mut response = result.unwrap_or_else(axum::response::IntoResponse::into_response);
        timer.finish(response.status().as_u16());
        telemetry::record_outcome(&span, response.status());
        if let Ok(cost) = HeaderValue::try_from(format!("{};{}", cost.queries, cost.elapsed_us)) {
            response.headers_mut().insert(header::DATABASE, cost);
        }
        response
    }

    async fn handle(&self, state: S, assertion: Assertion, mut request: Request) -> Result<Response, MatrixError> {
        if let Some(user) = &assertion.user {
            self.access.check(user.standing)?;
        }
        let path_args = self.path_args(&mut request).await?;
        strict::check_query(request.uri().query())?;
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, self.body_limit).await.map_err(|error| body_error(&error))?;
        let body = self.check_body(body)?;
        (self.run)(state, Incoming { parts, path_args, body, assertion }).await
    }

    async fn path_args(&self, request: &mut Request) -> Result<Vec<String>, MatrixError> {
        let params: RawPathParams = request
            .extract_parts()
            .await
            .map_err(|_| MatrixError::invalid_param("the path is not percent-encoded UTF-8"))?;
        let mut path_args = Vec::with_capacity(self.arguments);
        for (_, value) in &params {
            strict::check_path_argument(value)?;
            path_args.push(value.to_owned());
        }
        while path_args.len() < self.arguments {
            path_args.push(String::new());
        }
        Ok(path_args)
    }

    fn check_body(&self, body: Bytes) -> Result<Bytes, MatrixError> {
        match self.body {
            BodyKind::Bytes => Ok(body),
            _ if body.is_empty() && !self.body_required => Ok(Bytes::from_static(b"{}")),
            BodyKind::Json => strict::check_object(&body, strict::Nul::Refuse).map(|()| body),
            BodyKind::JsonWithNul => strict::check_object(&body, strict::Nul::Allow).map(|()| body),
        }
    }
}

fn refusal() -> Response {
    let mut response = MatrixError::unauthorized("this service is reached through the gateway only").into_response();
    response.headers_mut().insert(header::REFUSED, HeaderValue::from_static("1"));
    response
}

fn body_error(error: &axum::Error) -> MatrixError {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(cause) = source {
        if cause.is::<http_body_util::LengthLimitError>() {
            return MatrixError::too_large("the request's body is too large");
        }
        source = cause.source();
    }
    MatrixError::unknown(StatusCode::BAD_REQUEST, "the request's body ended early")
}
