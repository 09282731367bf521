//! What this process remembers of queues of one-time keys (PostgreSQL), and what follows its claims: queues are brought to
//! where the log of claims is, and keys that will be asked for next are read ahead.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use matrixon_runtime::shutdown::Shutdown;
use matrixon_store::{Db, StoreError};
use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, interval, sleep},
};

use crate::store::claims::{
    Queues,
    log::{self, read_ahead},
};

/// Claims that come this close together are followed by one fold.
const GATHER: Duration = Duration::from_millis(50);
/// For claims of processes that were killed.
const FOLD_EVERY: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(crate) struct KnownQueues {
    queues: Mutex<Queues>,
    given: Notify,
}

impl KnownQueues {
    pub(super) fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The claims that were written last are committed.
    pub(super) fn commit(&self) {
        self.lock().commit();
        self.given.notify_one();
    }

    /// Follows claims until the process has stopped.
    pub(crate) async fn follow(&self, db: &Db, shutdown: &Shutdown) {
        if !db.is_postgres() {
            return;
        }
        let mut tick = interval(FOLD_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !shutdown.stopped() {
            tokio::select! {
                () = self.given.notified() => sleep(GATHER).await,
                _ = tick.tick() => {}
                () = shutdown.wait_stopped() => {}
            }
            match log::fold(db).await {
                // what stands in the log is counted, and folded another time
                Err(StoreError::Retry(reason)) => {
                    tracing::debug!(reason, "queues of one-time keys stay where they are")
                }
                Err(error) => tracing::warn!(%error, "queues of one-time keys could not be moved"),
                Ok(_) => {}
            }
            if let Err(error) = self.refill(db).await {
                tracing::debug!(%error, "one-time keys could not be read ahead");
            }
        }
    }

    async fn refill(&self, db: &Db) -> Result<(), StoreError> {
        let ranges = self.lock().list_worn();
        if !ranges.is_empty() {
            let keys = read_ahead(db, &ranges).await?;
            let mut queues = self.lock();
            for (queue, number, key) in keys {
                queues.insert_key(queue, number, key);
            }
        }
        Ok(())
    }
}
