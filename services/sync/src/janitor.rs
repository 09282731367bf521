//! Keeps tables bounded: inboxes that nobody empties, transactions that nobody repeats any more, what erased users left behind.

use std::time::Duration;

use matrixon_runtime::{clock::Clock, shutdown::Shutdown};
use matrixon_store::{Db, StoreError};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};

use crate::{
    metrics::METRICS,
    store::{erased, to_device},
};

/// Inboxes that wait for their check.
pub(crate) const QUEUE: usize = 1_024;
const PRUNE_EVERY: Duration = Duration::from_mins(5);
/// Clients repeat a request for minutes at most.
const TRANSACTIONS_KEPT_MS: i64 = 24 * 60 * 60 * 1_000;
/// Rows deleted in one statement.
const PRUNE_ROWS: i64 = 1_000;
/// Users whose rows are deleted in one statement.
const ERASED_USERS: i64 = 10;

pub(crate) struct Janitor {
    pub(crate) db: Db,
    pub(crate) clock: Clock,
    /// Messages that an inbox holds.
    pub(crate) inbox_limit: usize,
    /// Devices that were sent messages.
    pub(crate) checks: mpsc::Receiver<i64>,
}

/// Runs until the process stops. Every replica may do it: what is gone stays gone.
pub(crate) async fn run(mut janitor: Janitor, shutdown: Shutdown) {
    let mut prune = interval(PRUNE_EVERY);
    prune.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let done = tokio::select! {
            device = janitor.checks.recv() => match device {
                Some(device) => janitor.trim_inbox(device).await,
                None => return,
            },
            _ = prune.tick() => janitor.prune().await,
            () = shutdown.wait_stopped() => return,
        };
        if let Err(error) = done {
            tracing::debug!(%error, "tables could not be tidied up");
        }
    }
}

impl Janitor {
    /// A device that has not come back for so long loses its oldest messages: the newest still open what is written today.
    async fn trim_inbox(&self, device: i64) -> Result<(), StoreError> {
        let dropped = to_device::delete_oldest(&self.db, device, self.inbox_limit as i64).await?;
        if dropped > 0 {
            METRICS.to_device_dropped.inc_by(dropped);
            tracing::info!(device, dropped, "an inbox is full, its oldest messages are dropped");
        }
        Ok(())
    }

    async fn prune(&self) -> Result<(), StoreError> {
        let cutoff_ms = self.clock.now_ms() - TRANSACTIONS_KEPT_MS;
        while to_device::prune_transactions(&self.db, cutoff_ms, PRUNE_ROWS).await? == PRUNE_ROWS as u64 {}
        while erased::delete_data(&self.db, ERASED_USERS).await? > 0 {}
        Ok(())
    }
}
