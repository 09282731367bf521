//! Which backups finished, for `matrixon_backup_last_success_seconds`: the job that makes one is gone when monitoring asks.

use crate::{Db, StoreError, exec, sql};

/// One backup that finished.
pub struct Run<'a> {
    pub name: &'a str,
    pub destination: &'a str,
    pub started_ms: i64,
    pub finished_ms: i64,
    pub bytes: i64,
}

/// The newest one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastRun {
    pub name: String,
    pub finished_ms: i64,
}

/// How many are remembered.
const KEPT: i64 = 1_000;

pub async fn record_run(db: &Db, run: &Run<'_>) -> Result<(), StoreError> {
    exec!(
        db.write(),
        "insert into backup_runs (name, destination, started_ms, finished_ms, bytes) values ($1, $2, $3, $4, $5)
         on conflict (name) do nothing",
        run.name,
        run.destination,
        run.started_ms,
        run.finished_ms,
        run.bytes
    )?;
    exec!(
        db.write(),
        "delete from backup_runs where finished_ms < coalesce(
             (select finished_ms from backup_runs order by finished_ms desc limit 1 offset $1), 0)",
        KEPT
    )?;
    Ok(())
}

pub async fn last_run(db: &Db) -> Result<Option<LastRun>, StoreError> {
    let row = sql!(
        db.read(),
        fetch_optional as (String, i64),
        "select name, finished_ms from backup_runs order by finished_ms desc limit 1"
    )?;
    Ok(row.map(|(name, finished_ms)| LastRun { name, finished_ms }))
}
