//! What this process remembers of queues of one-time keys (PostgreSQL), and what follows its claims: queues are brought to
//! where the log of claims is, and keys that will be asked for next are read ahead.

use std::{
    sync::atomic::{
        AtomicBool,
        Ordering::{AcqRel, Release},
    },
    time::Duration,
};

use futures::future::join;
use matrixon_runtime::shutdown::Shutdown;
use matrixon_store::{Db, StoreError};
use tokio::{
    sync::{Mutex, MutexGuard, Notify},
    time::{MissedTickBehavior, interval, sleep},
};

use crate::store::claims::{Queues, log};

/// Claims that come this close together are followed by one fold.
const GATHER: Duration = Duration::from_millis(100);
/// Queues of one query: claims that go on meanwhile need the processor, too.
const READ_AHEAD: usize = 32;
/// For claims of processes that were killed.
const FOLD_EVERY: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(crate) struct KnownQueues {
    queues: Mutex<Queues>,
    /// What was written last is committed, which `queues` have not been told.
    committed: AtomicBool,
    /// Claims that are not folded.
    given: Notify,
    /// Claims after which keys may be few.
    worn: Notify,
}

impl KnownQueues {
    pub(super) async fn lock(&self) -> MutexGuard<'_, Queues> {
        let mut queues = self.queues.lock().await;
        if self.committed.swap(false, AcqRel) {
            queues.commit();
        }
        queues
    }

    /// The claims that were written last are committed.
    pub(super) fn commit(&self) {
        self.committed.store(true, Release);
        self.given.notify_one();
        self.worn.notify_one();
    }

    /// Follows claims until the process has stopped.
    pub(crate) async fn follow(&self, db: &Db, shutdown: &Shutdown) {
        if db.is_postgres() {
            join(self.fold(db, shutdown), self.read_ahead(db, shutdown)).await;
        }
    }

    async fn fold(&self, db: &Db, shutdown: &Shutdown) {
        let mut tick = interval(FOLD_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let last = shutdown.stopped();
            match log::fold(db).await {
                // what stands in the log is counted, and folded another time
                Err(StoreError::Retry(reason)) => tracing::debug!(reason, "one-time keys are not folded"),
                Err(error) => tracing::warn!(%error, "queues of one-time keys could not be moved"),
                Ok(()) => {}
            }
            if last {
                return;
            }
            tokio::select! {
                () = self.given.notified() => sleep(GATHER).await,
                _ = tick.tick() => {}
                () = shutdown.wait_stopped() => {}
            }
        }
    }

    async fn read_ahead(&self, db: &Db, shutdown: &Shutdown) {
        while !shutdown.stopped() {
            tokio::select! {
                () = self.worn.notified() => {}
                () = shutdown.wait_stopped() => return,
            }
            if let Err(error) = self.refill(db).await {
                tracing::debug!(%error, "one-time keys could not be read ahead");
            }
        }
    }

    async fn refill(&self, db: &Db) -> Result<(), StoreError> {
        let ranges = self.lock().await.list_worn();
        for ranges in ranges.chunks(READ_AHEAD) {
            let keys = log::read_ahead(db, ranges).await?;
            let mut queues = self.lock().await;
            for (queue, number, key) in keys {
                queues.insert_key(queue, number, key);
            }
        }
        Ok(())
    }
}
