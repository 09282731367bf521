//! gRPC calls between processes carry proof that a process of the cluster makes them: an assertion with a key of its own, good for
//! one method for 30 s. (HTTP requests carry the gateway's assertion, see `matrixon_http`.)

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::HeaderValue;
use matrixon_http::{Assertion, Signer, Verifier, assertion::LIFETIME_MS};
use matrixon_rpc::{CALLER, is_grpc};
use matrixon_runtime::{clock::Clock, config::ClusterConfig};
use tonic::Status;

use crate::settings::derive_key;

/// Not the key of the gateway's assertions: what proves one thing must not prove another.
const LABEL: &[u8] = b"matrixon call v1";

#[derive(Clone)]
pub(crate) struct Calls {
    signer: Signer,
    verifier: Verifier,
    required: Arc<AtomicBool>,
    clock: Clock,
}

impl Calls {
    pub(crate) fn new(config: &ClusterConfig, clock: Clock) -> Self {
        let calls = Self {
            signer: Signer::new(&[]),
            verifier: Verifier::new(&[], None, clock.clone()),
            required: Arc::default(),
            clock,
        };
        calls.set(config);
        calls
    }

    /// For a rotated secret.
    pub(crate) fn set(&self, config: &ClusterConfig) {
        let current = derive_key(config.secret.expose(), LABEL);
        let previous = Some(config.previous_secret.expose()).filter(|secret| !secret.is_empty());
        self.signer.set_secret(&current);
        self.verifier.set_secrets(&current, previous.map(|secret| derive_key(secret, LABEL)).as_deref());
        self.required.store(config.require_signed_calls, Ordering::Relaxed);
    }

    pub(crate) fn sign(&self, path: &str) -> HeaderValue {
        let expires_ms = self.clock.now_ms() + LIFETIME_MS;
        self.signer.sign(&Assertion { request_id: path.to_owned(), expires_ms, ..Assertion::default() })
    }
}

/// Refuses gRPC calls (`UNAUTHENTICATED`) that carry a wrong proof, and those without one where it is required.
pub(crate) async fn check(State(calls): State<Calls>, request: Request, next: Next) -> Response {
    if !is_grpc(request.uri().path()) {
        return next.run(request).await;
    }
    let proof = request.headers().get(CALLER);
    if proof.is_none() && !calls.required.load(Ordering::Relaxed) {
        return next.run(request).await;
    }
    let reason = match calls.verifier.verify(proof) {
        Ok(assertion) if assertion.request_id == request.uri().path() => return next.run(request).await,
        Ok(_) => "the proof is for another method".to_owned(),
        Err(error) => error.to_string(),
    };
    tracing::warn!(reason, path = request.uri().path(), "refused a call that no process of the cluster made");
    Status::unauthenticated("only processes of the cluster may call").into_http::<axum::body::Body>().into_response()
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, middleware, routing::post};
    use tower::ServiceExt as _;

    use matrixon_runtime::config::Secret;

    use super::*;

    fn config(secret: &str, previous: &str, require_signed_calls: bool) -> ClusterConfig {
        ClusterConfig { secret: Secret::new(secret), previous_secret: Secret::new(previous), require_signed_calls }
    }

    /// The gRPC status of a call with this proof; none: it was done.
    async fn call(callee: &Calls, proof: Option<HeaderValue>) -> Option<String> {
        let done = post(async || "done");
        let router =
            Router::new().route("/matrixon.a/A", done).layer(middleware::from_fn_with_state(callee.clone(), check));
        let mut request = Request::post("/matrixon.a/A").body(Body::empty()).unwrap();
        if let Some(proof) = proof {
            request.headers_mut().insert(CALLER, proof);
        }
        let response = router.oneshot(request).await.unwrap();
        response.headers().get("grpc-status").map(|status| status.to_str().unwrap().to_owned())
    }

    #[tokio::test]
    async fn only_the_cluster_calls() {
        let clock = Clock::system();
        let callee = Calls::new(&config("new", "old", true), clock.clone());
        let caller = |secret| Calls::new(&config(secret, "", true), clock.clone());
        assert_eq!(call(&callee, Some(caller("new").sign("/matrixon.a/A"))).await, None);
        assert_eq!(call(&callee, Some(caller("old").sign("/matrixon.a/A"))).await, None);
        assert_eq!(call(&callee, Some(caller("other").sign("/matrixon.a/A"))).await.as_deref(), Some("16"));
        assert_eq!(call(&callee, Some(caller("new").sign("/matrixon.a/B"))).await.as_deref(), Some("16"));
        assert_eq!(call(&callee, None).await.as_deref(), Some("16"));
        // while processes of before it are about, a missing proof is let pass; a wrong one never is
        callee.set(&config("new", "", false));
        assert_eq!(call(&callee, None).await, None);
        assert_eq!(call(&callee, Some(caller("old").sign("/matrixon.a/A"))).await.as_deref(), Some("16"));
    }
}
