//! The process's side.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{ConnectInfo, Request, State},
    http::{StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use matrixon_bus::Bus;
use matrixon_cache::Cache;
use matrixon_http::Verifier;
use matrixon_runtime::{health::Health, metrics, reload::Reload, shutdown::Shutdown, telemetry::LevelHandle};
use matrixon_store::{Db, migrations};
use rustix::process::{Signal, getpid, kill_process};

use super::{
    OPERATOR, PREFIX, Pool, Schema, Status, StreamStatus,
    profile::{Kind, MAX_SECONDS, ProfileError, Profiler},
};

/// What it needs of the process.
pub(crate) struct Process {
    pub(crate) service: String,
    pub(crate) roles: Vec<String>,
    pub(crate) db: Option<Db>,
    pub(crate) max_connections: u32,
    pub(crate) bus: Bus,
    pub(crate) cache: Cache,
    pub(crate) health: Health,
    pub(crate) shutdown: Shutdown,
    pub(crate) reload: Reload,
    pub(crate) level: LevelHandle,
    pub(crate) profiler: Profiler,
    pub(crate) started: Instant,
}

type Shared = Arc<Process>;

/// The routes under [`PREFIX`]; all of them refuse whoever has not the cluster secret.
pub(crate) fn router(process: Process, verifier: Verifier) -> Router {
    let at = |path: &str| format!("{PREFIX}{path}");
    Router::new()
        .route(&at("/status"), get(status))
        .route(&at("/metrics"), get(async || metrics::gather()))
        .route(&at("/drain"), post(drain))
        .route(&at("/reload"), post(reload))
        .route(&at("/log-level"), post(log_level))
        .route(&at("/profile"), post(profile))
        .route_layer(middleware::from_fn_with_state(verifier, check))
        .with_state(Arc::new(process))
}

async fn check(State(verifier): State<Verifier>, request: Request, next: Next) -> Response {
    let asked = format!("{} {}", request.method(), request.uri().path_and_query().map_or("/", |path| path.as_str()));
    match verifier.verify(request.headers().get(OPERATOR)) {
        Ok(assertion) if assertion.request_id == asked => {
            if !request.method().is_safe() {
                let remote = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip().to_string());
                let operator = assertion.machine.as_deref().unwrap_or("-");
                tracing::info!(operator, remote, asked, "an operator's request");
            }
            next.run(request).await
        }
        Ok(_) => refuse("the assertion is for another request"),
        Err(error) => refuse(&error.to_string()),
    }
}

fn refuse(reason: &str) -> Response {
    tracing::warn!(reason, "refused an operator's request");
    (StatusCode::UNAUTHORIZED, format!("{reason}\n")).into_response()
}

async fn status(State(process): State<Shared>) -> Response {
    let ready = process.health.ready().await;
    let (schema, pool) = match &process.db {
        None => (None, None),
        Some(db) => {
            let (used, idle) = db.connections();
            let database = migrations::current(db).await.ok();
            let (min, max) = (migrations::SCHEMA_MIN, migrations::SCHEMA_MAX);
            let schema = Schema { database, min, max, brings: migrations::latest() };
            (Some(schema), Some(Pool { used, idle, max: process.max_connections }))
        }
    };
    let status = Status {
        service: process.service.clone(),
        roles: process.roles.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        host: host(),
        pid: std::process::id(),
        uptime_seconds: process.started.elapsed().as_secs(),
        ready: ready.is_ok(),
        reason: ready.err(),
        draining: process.shutdown.draining(),
        // this very request is one of them
        in_flight: process.shutdown.in_flight().saturating_sub(1),
        resident_bytes: metrics::process::resident_bytes().unwrap_or(0.0) as u64,
        schema,
        pool,
        streams: streams(),
        bus_connected: process.bus.is_connected(),
        cache_connected: process.cache.is_connected(),
    };
    match serde_json::to_string(&status) {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// As the metrics have them.
fn streams() -> Vec<StreamStatus> {
    let lags = metrics::read_gauges("stream_lag");
    let of = |labels: &[(String, String)]| {
        labels.iter().find(|(name, _)| name == "stream").map(|(_, stream)| stream.clone())
    };
    let lag_of = |stream: &str| {
        let lags = lags.iter().filter(|(labels, _)| of(labels).as_deref() == Some(stream));
        lags.map(|(_, lag)| *lag).max().unwrap_or(0)
    };
    let positions = metrics::read_gauges("stream_position");
    let streams = positions.iter().filter_map(|(labels, position)| {
        let stream = of(labels)?;
        Some(StreamStatus { lag: lag_of(&stream), position: *position, stream })
    });
    streams.collect()
}

fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The same as SIGTERM, which the process's signal task knows how to do in order.
async fn drain(State(process): State<Shared>) -> Response {
    if process.shutdown.draining() {
        return "it drains already\n".into_response();
    }
    match kill_process(getpid(), Signal::TERM) {
        Ok(()) => "draining\n".into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn reload(State(process): State<Shared>) -> Response {
    let results = process.reload.run();
    let failed = results.iter().any(|(_, result)| result.is_err());
    let lines = results.iter().map(|(part, result)| match result {
        Ok(()) => format!("{part}: reloaded\n"),
        Err(error) => format!("{part}: {error}; the old state stays in force\n"),
    });
    let status = if failed { StatusCode::CONFLICT } else { StatusCode::OK };
    (status, lines.collect::<String>()).into_response()
}

async fn log_level(State(process): State<Shared>, uri: Uri) -> Response {
    let Some(level) = query(&uri, "level") else {
        return (StatusCode::BAD_REQUEST, "which level?\n").into_response();
    };
    match process.level.set(&level) {
        Ok(()) => {
            tracing::info!(level, "log level changed by an operator");
            format!("{level}\n").into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

/// `?kind=cpu|heap&seconds=10`: an SVG, after that time.
async fn profile(State(process): State<Shared>, uri: Uri) -> Response {
    let kind = query(&uri, "kind").and_then(|kind| Kind::parse(&kind));
    let seconds = query(&uri, "seconds").and_then(|seconds| seconds.parse().ok());
    let (Some(kind), Some(seconds @ 1..=MAX_SECONDS)) = (kind, seconds) else {
        let text = format!("`kind` is cpu or heap, `seconds` 1 to {MAX_SECONDS}\n");
        return (StatusCode::BAD_REQUEST, text).into_response();
    };
    tracing::info!(kind = kind.as_str(), seconds, "profiled by an operator");
    let recorded = tokio::select! {
        recorded = process.profiler.record(kind, Duration::from_secs(seconds)) => recorded,
        () = process.shutdown.wait_draining() => Err(ProfileError::Ends),
    };
    match recorded {
        Ok(svg) => ([(header::CONTENT_TYPE, "image/svg+xml")], svg).into_response(),
        Err(error) => {
            let status = match error {
                ProfileError::Off => StatusCode::FORBIDDEN,
                ProfileError::Running | ProfileError::Ends => StatusCode::CONFLICT,
                ProfileError::Empty(_) => StatusCode::NOT_FOUND,
                ProfileError::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
            };
            (status, format!("{error}\n")).into_response()
        }
    }
}

/// A parameter of the query; percent-encoded as [`super::ask`] writes it.
fn query(uri: &Uri, name: &str) -> Option<String> {
    let pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(key, _)| *key == name)?;
    Some(percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned())
}
