//! Background work: sightings of devices are written, old revocations, and what need not be kept of keys, pruned.

use std::time::Duration;

use matrixon_runtime::shutdown::Shutdown;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};

use crate::{keys, sessions::revocations, state::Auth};

const FLUSH_EVERY: Duration = Duration::from_mins(1);
const PRUNE_EVERY: Duration = Duration::from_mins(10);

/// Runs until the process has stopped, then writes what is pending once more.
pub(crate) async fn run(auth: Auth, shutdown: Shutdown) {
    let mut flush = interval_at(Instant::now() + FLUSH_EVERY, FLUSH_EVERY);
    flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut prune = interval(PRUNE_EVERY);
    prune.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = flush.tick() => flush_last_seen(&auth).await,
            _ = prune.tick() => {
                prune_revocations(&auth).await;
                prune_keys(&auth).await;
            }
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

async fn prune_keys(auth: &Auth) {
    match keys::prune::prune(auth).await {
        Ok(0) => {}
        Ok(pruned) => tracing::debug!(pruned, "old traces of keys pruned"),
        Err(error) => tracing::warn!(%error, "old traces of keys could not be pruned"),
    }
}

async fn prune_revocations(auth: &Auth) {
    match revocations::prune(auth).await {
        Ok(0) => {}
        Ok(pruned) => tracing::debug!(pruned, "old revocations pruned"),
        Err(error) => tracing::warn!(%error, "old revocations could not be pruned"),
    }
}
