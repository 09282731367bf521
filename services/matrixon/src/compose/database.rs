//! What everybody should know about the database: does it answer, and how many connections are in use?

use std::time::Duration;

use anyhow::Result;
use matrixon_runtime::{health::Health, metrics, shutdown::Shutdown};
use matrixon_store::{Db, backup, migrations, pool};

use crate::{
    connect::{connect_migrated, patiently},
    settings::Settings,
};

/// How often the pool's gauges are written.
const POOL_EVERY: Duration = Duration::from_secs(5);
/// How often the last backup is looked up.
const BACKUPS_EVERY: Duration = Duration::from_secs(30);

/// Connects, as patiently as `database.startup_wait_seconds` says.
pub(crate) async fn connect_patiently(settings: &Settings) -> Result<Db> {
    let tell = |error: &str| tracing::warn!(error, "waiting for the database");
    let db = patiently(settings.config.database.startup_wait_seconds, tell, || connect_migrated(settings)).await?;
    db.warm().await?;
    Ok(db)
}

/// Readiness and gauges of the database.
pub(crate) fn watch(db: &Db, health: &Health, service: &str, shutdown: &Shutdown) {
    let checked = db.clone();
    health.check_async("database", move || {
        let db = checked.clone();
        async move { db.ping().await.map_err(|error| error.to_string()) }
    });
    pool::observe_waits(service);
    metrics::gauge("db_schema_version", "The schema version that this binary brings.", &["service"])
        .with_label_values(&[service])
        .set(migrations::latest());
    tokio::spawn(watch_backups(db.clone(), shutdown.clone()));
    let connections = metrics::gauge("db_pool_connections", "Connections to the database.", &["service", "state"]);
    let (used, idle) =
        (connections.with_label_values(&[service, "used"]), connections.with_label_values(&[service, "idle"]));
    let (db, shutdown) = (db.clone(), shutdown.clone());
    tokio::spawn(async move {
        while !shutdown.stopped() {
            let (in_use, resting) = db.connections();
            used.set(in_use as i64);
            idle.set(resting as i64);
            tokio::select! {
                () = tokio::time::sleep(POOL_EVERY) => {}
                () = shutdown.wait_stopped() => {}
            }
        }
    });
}

/// When the last backup finished; 0 as long as there is none.
async fn watch_backups(db: Db, shutdown: Shutdown) {
    let none: &[&str] = &[];
    let help = "When the newest backup finished, in seconds since 1970; 0: never.";
    let finished = metrics::gauge("backup_last_success_seconds", help, none).with_label_values(none);
    finished.set(0);
    while !shutdown.stopped() {
        match backup::last_run(&db).await {
            Ok(run) => finished.set(run.map_or(0, |run| run.finished_ms / 1_000)),
            Err(error) => tracing::debug!(%error, "the last backup cannot be looked up"),
        }
        tokio::select! {
            () = tokio::time::sleep(BACKUPS_EVERY) => {}
            () = shutdown.wait_stopped() => {}
        }
    }
}
