//! Route registration: one line a handler; path and method come from ruma's request type.
//!
//! Handlers are erased to one function-pointer shape at once, so that a hundred of them cost axum's generics once.

mod endpoint;
#[cfg(test)]
mod tests;

use std::{future::Future, sync::Arc};

use axum::{Router, extract::State, routing::MethodFilter};
use futures::FutureExt as _;
use http::Method;
use matrixon_runtime::role::Role;
use ruma::api::{IncomingRequest, path_builder::PathBuilder as _};

use self::endpoint::{Endpoint, Run};
use crate::{
    access::Access,
    assertion::Verifier,
    auth::Auth,
    error::MatrixError,
    matrix::{Matrix, Raw},
    response::IntoMatrixResponse,
    route::{Affinity, AuthKind, LimitClass, RouteInfo, RouteOptions, parameter_names, positional},
};

/// The HTTP slice of a service whose handlers share the state `S`.
pub struct Routes<S> {
    role: Role,
    entries: Vec<Entry<S>>,
}

struct Entry<S> {
    info: RouteInfo,
    endpoint: Arc<Endpoint<S>>,
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    pub fn new(role: Role) -> Self {
        Self { role, entries: Vec::new() }
    }

    /// Registers `async fn(State<S>, Matrix<Req, A>) -> Result<T, E>` on every path of ruma's `Req`.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "options are written where they are used")]
    pub fn ruma<Req, A, F, Fut, T, E>(self, handler: F, options: RouteOptions) -> Self
    where
        Req: IncomingRequest + Send + 'static,
        A: Auth,
        F: Fn(State<S>, Matrix<Req, A>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send,
        T: IntoMatrixResponse,
        E: Into<MatrixError>,
    {
        let run: Run<S> = Box::new(move |state, incoming| {
            let handler = handler.clone();
            async move {
                let matrix = incoming.into_matrix::<Req, A>()?;
                handler(State(state), matrix).await.map_err(Into::into)?.into_matrix_response()
            }
            .boxed()
        });
        let paths: Vec<&str> = Req::PATH_BUILDER.all_paths().collect();
        self.register::<A>(&Req::METHOD, &paths, run, &options)
    }

    /// Registers `async fn(State<S>, Raw<A>) -> Result<T, E>` on a path that ruma cannot express.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "methods and options are written where they are used")]
    pub fn raw<A, F, Fut, T, E>(self, method: Method, path: &'static str, handler: F, options: RouteOptions) -> Self
    where
        A: Auth,
        F: Fn(State<S>, Raw<A>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send,
        T: IntoMatrixResponse,
        E: Into<MatrixError>,
    {
        let run: Run<S> = Box::new(move |state, incoming| {
            let handler = handler.clone();
            async move {
                let raw = incoming.into_raw::<A>()?;
                handler(State(state), raw).await.map_err(Into::into)?.into_matrix_response()
            }
            .boxed()
        });
        self.register::<A>(&method, &[path], run, &options)
    }

    /// Adds another set of routes of the same service.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.entries.extend(other.entries);
        self
    }

    /// What the gateway needs to know of these routes.
    pub fn table(&self) -> Vec<RouteInfo> {
        self.entries.iter().map(|entry| entry.info.clone()).collect()
    }

    /// The router for the cluster listener; it refuses every request without a valid assertion.
    #[expect(clippy::needless_pass_by_value, reason = "the router owns its verifier")]
    pub fn into_router(self, state: S, verifier: Verifier) -> Router {
        let mut router = Router::new();
        for Entry { info, endpoint } in self.entries {
            let filter = MethodFilter::try_from(info.method.clone()).expect("the Matrix API uses standard methods");
            let (state, verifier) = (state.clone(), verifier.clone());
            let serve = move |request: axum::extract::Request| {
                let (endpoint, state, verifier) = (endpoint.clone(), state.clone(), verifier.clone());
                async move { endpoint.serve(state, &verifier, request).await }
            };
            router = router.route(&positional(&info.path), axum::routing::on(filter, serve));
        }
        router
    }

    fn register<A: Auth>(mut self, method: &Method, paths: &[&str], run: Run<S>, options: &RouteOptions) -> Self {
        let read = *method == Method::GET;
        let limit = options.limit.unwrap_or(if read { LimitClass::Read } else { LimitClass::Write });
        let arguments = paths.iter().map(|path| parameter_names(path).count()).max().unwrap_or(0);
        let run = Arc::new(run);
        for path in paths.iter().chain(&options.aliases) {
            let info = RouteInfo {
                method: method.clone(),
                path: (*path).to_owned(),
                role: self.role,
                auth: A::KIND,
                // who may call without a token may call as a guest
                access: Access { guests: options.access.guests || A::KIND != AuthKind::User, ..options.access },
                affinity: affinity_on(options.affinity, path),
                limit,
                kind: options.kind,
                body_limit: options.body_limit,
            };
            let endpoint = Endpoint::new(&info, options.body, arguments, run.clone());
            self.entries.push(Entry { info, endpoint: Arc::new(endpoint) });
        }
        self
    }
}

/// An affinity that a template cannot give is none.
fn affinity_on(affinity: Affinity, template: &str) -> Affinity {
    match affinity {
        Affinity::Path(name) if !parameter_names(template).any(|parameter| parameter == name) => {
            debug_assert!(false, "{template} has no parameter {name}");
            Affinity::None
        }
        affinity => affinity,
    }
}
