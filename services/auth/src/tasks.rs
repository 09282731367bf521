//! Background work: sightings of devices are written; what has had its time is deleted.

use std::time::Duration;

use matrixon_runtime::shutdown::Shutdown;
use matrixon_store::StoreError;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};

use crate::{
    keys,
    profiles::stream,
    sessions::revocations,
    state::Auth,
    store::{batches, login_tokens, openid_tokens, rendezvous_sessions, spent_refresh_tokens, validations},
};

const PRUNE_EVERY: Duration = Duration::from_mins(10);
/// While a cluster is upgraded, replicas of the older version still take keys that those of this one do not see.
const ADOPT_EVERY: Duration = Duration::from_secs(10);
/// A spent refresh token that comes after this is an unknown one.
const KEEP_SPENT_MS: i64 = 30 * 24 * 3_600 * 1_000;
/// How many rows one statement deletes.
const PRUNE_BATCH: i64 = 1_000;

/// Runs until the process has stopped, then writes what is pending once more.
pub(crate) async fn run(auth: Auth, shutdown: Shutdown) {
    let flush_every = Duration::from_secs(auth.config.last_seen_seconds.max(1));
    let mut flush = interval_at(Instant::now() + flush_every, flush_every);
    flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut prune = interval(PRUNE_EVERY);
    prune.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut adopt = interval(ADOPT_EVERY);
    adopt.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = adopt.tick() => adopt_keys(&auth, &shutdown).await,
            _ = flush.tick() => flush_last_seen(&auth).await,
            _ = prune.tick() => prune_all(&auth).await,
            () = shutdown.wait_stopped() => break,
        }
    }
    flush_last_seen(&auth).await;
}

async fn flush_last_seen(auth: &Auth) {
    if let Err(error) = auth.last_seen.flush(&auth.db).await {
        tracing::warn!(%error, "when devices were last seen could not be written");
    }
}

async fn adopt_keys(auth: &Auth, shutdown: &Shutdown) {
    if let Err(error) = keys::prune::adopt(auth, shutdown).await {
        tracing::warn!(%error, "one-time keys of an earlier version could not be moved to queues");
    }
}

/// Any replica may do it, several at once too.
async fn prune_all(auth: &Auth) {
    let now_ms = auth.clock.now_ms();
    let db = &auth.db;
    report("revocations", revocations::prune(auth).await);
    report("keys", keys::prune::prune(auth).await);
    report("profile_changes", stream::prune(auth).await);
    report("openid_tokens", openid_tokens::delete_expired(db, now_ms).await);
    report("login_tokens", batches(PRUNE_BATCH, |limit| login_tokens::prune_login_tokens(db, now_ms, limit)).await);
    let cutoff_ms = now_ms - KEEP_SPENT_MS;
    report(
        "spent_refresh_tokens",
        batches(PRUNE_BATCH, |limit| spent_refresh_tokens::prune_spent(db, cutoff_ms, limit)).await,
    );
    report(
        "rendezvous_sessions",
        batches(PRUNE_BATCH, |limit| rendezvous_sessions::prune_sessions(db, now_ms, limit)).await,
    );
    report("threepid_validations", batches(PRUNE_BATCH, |limit| validations::delete_expired(db, now_ms, limit)).await);
}

fn report(table: &str, pruned: Result<u64, StoreError>) {
    match pruned {
        Ok(0) => {}
        Ok(pruned) => tracing::debug!(table, pruned, "old rows pruned"),
        Err(error) => tracing::warn!(table, %error, "old rows could not be pruned"),
    }
}
