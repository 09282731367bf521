//! What operators watch: every metric that docs, dashboards and alerts name is there on a running server.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use matrixon_testkit::tests;

use crate::env::{Env, Shared};

tests![Env: everything_promised_is_exported];

/// `matrixon_…` and labels, as OPERATIONS lists them. `{label="value"}` must be a series from the start.
const PROMISED: &[&str] = &[
    "build_info{service=",
    "http_requests_total{code=",
    r#"http_request_duration_seconds_bucket{kind="short""#,
    r#"http_inflight{kind="longpoll""#,
    "http_connections{service=",
    r#"grpc_client_requests_total{code="OK""#,
    r#"grpc_client_duration_seconds_bucket{code="OK""#,
    r#"events_accepted_total{origin="local"}"#,
    r#"events_accepted_total{origin="federation"}"#,
    r#"event_persist_duration_seconds_bucket{origin="local""#,
    r#"deliveries_total{path="sync",result="ok"}"#,
    r#"deliveries_total{path="sync",result="failed"}"#,
    r#"delivery_latency_seconds_bucket{path="sync""#,
    r#"stream_position{stream="events"}"#,
    r#"stream_position{stream="revocations"}"#,
    r#"stream_lag{consumer="sync",stream="events"}"#,
    r#"bus_gaps_total{stream="events"}"#,
    "sync_waiters ",
    "sync_wake_seconds_bucket{",
    r#"federation_requests_total{code="200",direction="in""#,
    r#"federation_duration_seconds_bucket{code="200",direction="out""#,
    r#"federation_destinations{state="backing_off"}"#,
    "state_resolution_duration_seconds_bucket{",
    "db_pool_connections{service=",
    "db_pool_wait_seconds_bucket{service=",
    "cache_requests_total{cache=",
    r#"drained_requests_total{result="cut""#,
    r#"rate_limited_total{class="login"}"#,
    r#"admin_refused_total{who="account"}"#,
    r#"admin_refused_total{who="stranger"}"#,
    "backup_last_success_seconds 0",
    "ready 1",
    "draining 0",
];

/// The text that every process serves, one after the other; they are alike for a server that was there before us.
pub(crate) async fn scrape(env: &Env) -> Result<String> {
    let cluster =
        env.cluster.as_ref().context("the metrics are on internal ports, which only our own cluster tells")?;
    let mut all = String::new();
    for process in cluster.state()?.processes {
        let response = reqwest::get(format!("{}/metrics", process.internal_url)).await?.error_for_status()?;
        all += &response.text().await?;
    }
    Ok(all)
}

/// What is ready may not be for a moment.
async fn scrape_ready(env: &Env) -> Result<String> {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let text = scrape(env).await?;
        if text.contains("\nmatrixon_ready 1\n") || Instant::now() >= end {
            return Ok(text);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Somebody who has sent, received and asked.
async fn use_it(env: &Env) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    alice.send(&room, "hello").await?;
    bob.get("/_matrix/client/v3/sync?timeout=0").await?;
    Ok(())
}

async fn everything_promised_is_exported(env: Shared) -> Result<()> {
    if env.cluster.is_none() {
        return Ok(());
    }
    use_it(&env).await?;
    let text = scrape_ready(&env).await?;
    let missing: BTreeSet<&str> =
        PROMISED.iter().copied().filter(|name| !text.contains(&format!("\nmatrixon_{name}"))).collect();
    assert!(missing.is_empty(), "not exported: {missing:?}");
    for name in ["process_cpu_seconds_total ", "process_resident_memory_bytes ", "process_open_fds "] {
        assert!(text.contains(&format!("\n{name}")), "{name} is not exported");
    }
    Ok(())
}
