//! Probes. `/startupz`: the process is built · `/livez`: it can answer · `/readyz`: it should get traffic. They live on the internal port.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use crate::{metrics, shutdown::Shutdown};

/// A result is reused this long, so that many probing peers do not multiply queries.
const REUSE_FOR: Duration = Duration::from_millis(300);
/// A check that takes longer has failed.
const CHECK_WITHIN: Duration = Duration::from_millis(900);

type CheckFuture = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
type Check = Arc<dyn Fn() -> CheckFuture + Send + Sync>;

/// The named readiness checks of a process; clones share them.
#[derive(Clone)]
pub struct Health {
    inner: Arc<Inner>,
}

struct Inner {
    shutdown: Shutdown,
    started: std::sync::atomic::AtomicBool,
    checks: Mutex<Vec<(&'static str, Check)>>,
    last: tokio::sync::Mutex<Option<(Instant, Result<(), String>)>>,
}

impl Health {
    pub fn new(shutdown: Shutdown) -> Self {
        Self {
            inner: Arc::new(Inner {
                shutdown,
                started: std::sync::atomic::AtomicBool::new(false),
                checks: Mutex::default(),
                last: tokio::sync::Mutex::default(),
            }),
        }
    }

    /// Adds a readiness check that answers at once.
    pub fn check(&self, name: &'static str, check: impl Fn() -> Result<(), String> + Send + Sync + 'static) {
        self.check_async(name, move || std::future::ready(check()));
    }

    /// Adds a readiness check; it has 900 ms.
    pub fn check_async<F>(&self, name: &'static str, check: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.inner.checks.lock().push((name, Arc::new(move || Box::pin(check()))));
    }

    /// Everything is built and bound: `/startupz` succeeds from now on.
    pub fn set_started(&self) {
        self.inner.started.store(true, std::sync::atomic::Ordering::Release);
    }

    pub fn started(&self) -> bool {
        self.inner.started.load(std::sync::atomic::Ordering::Acquire)
    }

    /// Why this process should get no traffic, if so.
    pub async fn ready(&self) -> Result<(), String> {
        self.accepting()?;
        let mut last = self.inner.last.lock().await;
        if let Some((at, result)) = &*last
            && at.elapsed() < REUSE_FOR
        {
            return result.clone();
        }
        let result = self.run_checks().await;
        *last = Some((Instant::now(), result.clone()));
        result
    }

    /// What peers ask: is the process up and not draining? A database that is away is away for every replica, so
    /// taking them all out of rotation would only delay the recovery.
    pub fn accepting(&self) -> Result<(), String> {
        if !self.started() {
            return Err("starting".to_owned());
        }
        if self.inner.shutdown.draining() {
            return Err("draining".to_owned());
        }
        Ok(())
    }

    /// Sets the gauges that tell monitoring what the probes tell the orchestrator.
    async fn publish(&self) {
        let none: &[&str] = &[];
        let ready = metrics::gauge("ready", "1 while /readyz says so.", none).with_label_values(none);
        let draining = metrics::gauge("draining", "1 from SIGTERM to the end.", none).with_label_values(none);
        ready.set(self.ready().await.is_ok().into());
        draining.set(self.inner.shutdown.draining().into());
    }

    async fn run_checks(&self) -> Result<(), String> {
        let checks = self.inner.checks.lock().clone();
        for (name, check) in checks {
            match timeout(CHECK_WITHIN, check()).await {
                Ok(Ok(())) => {}
                Ok(Err(reason)) => return Err(format!("{name}: {reason}")),
                Err(_elapsed) => return Err(format!("{name}: no answer within {} ms", CHECK_WITHIN.as_millis())),
            }
        }
        Ok(())
    }
}

/// What the internal port serves: the three probes and the metrics.
pub fn internal_router(health: Health) -> Router {
    Router::new()
        .route("/startupz", get(startupz))
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(serve_metrics))
        .with_state(health)
}

async fn startupz(State(health): State<Health>) -> Response {
    answer(if health.started() { Ok(()) } else { Err("starting".to_owned()) })
}

async fn readyz(State(health): State<Health>) -> Response {
    answer(health.ready().await)
}

fn answer(result: Result<(), String>) -> Response {
    match result {
        Ok(()) => "ok\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn serve_metrics(State(health): State<Health>) -> Response {
    health.publish().await;
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics::gather()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn readiness_needs_the_start_the_checks_and_no_drain() {
        let shutdown = Shutdown::new();
        let health = Health::new(shutdown.clone());
        assert_eq!(health.ready().await, Err("starting".to_owned()));
        health.set_started();
        assert_eq!(health.ready().await, Ok(()));
        shutdown.begin_drain();
        assert_eq!(health.ready().await, Err("draining".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_or_hanging_check_is_named() {
        let health = Health::new(Shutdown::new());
        health.set_started();
        health.check_async("database", std::future::pending);
        assert_eq!(health.ready().await, Err("database: no answer within 900 ms".to_owned()));
        assert_eq!(health.accepting(), Ok(()));
    }
}
