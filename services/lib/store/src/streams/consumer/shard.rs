//! One shard of a consumer, while its lease lasts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use matrixon_runtime::metrics::{IntCounter, IntGauge, counter, gauge};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::{
    ConsumeError, Consumer, Outcome, Work,
    cursors::{self, Claimed},
    shard_of,
};
use crate::{Db, StoreError, Tx};

/// The first pause after an error; it doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(30);
/// A cursor that only passed what does not concern it is written this often, or every so many positions.
const IDLE_WRITE_EVERY: Duration = Duration::from_secs(10);
const IDLE_WRITE_POSITIONS: i64 = 2_000;

/// What all shards of a consumer share in one process.
pub(super) struct Shared<W> {
    pub(super) db: Db,
    pub(super) consumer: Consumer,
    pub(super) work: W,
    pub(super) metrics: Metrics,
}

pub(super) struct Metrics {
    pub(super) lag: IntGauge,
    pub(super) shards: IntGauge,
    errors: IntCounter,
}

impl Metrics {
    pub(super) fn of(consumer: &Consumer) -> Self {
        let labels = [consumer.stream.name(), consumer.name];
        Self {
            lag: gauge("stream_lag", "Positions known to be committed and not reached.", &["stream", "consumer"])
                .with_label_values(&labels),
            shards: gauge("stream_shards", "Shards of a consumer that this process holds.", &["stream", "consumer"])
                .with_label_values(&labels),
            errors: counter(
                "stream_consumer_errors_total",
                "Batches of a stream that failed and are tried again.",
                &["stream", "consumer"],
            )
            .with_label_values(&labels),
        }
    }
}

/// A claimed shard, seen by its task and by the coordinator.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) claimed: Claimed,
    /// Everything up to here is done; the row may lag behind.
    position: AtomicI64,
    until: Mutex<Instant>,
}

impl Lease {
    pub(super) fn new(claimed: Claimed, until: Instant) -> Self {
        Self { claimed, position: AtomicI64::new(claimed.position), until: Mutex::new(until) }
    }

    pub(super) fn position(&self) -> i64 {
        self.position.load(Ordering::Acquire)
    }

    pub(super) fn extend(&self, until: Instant) {
        *self.until.lock() = until;
    }

    fn is_valid(&self) -> bool {
        Instant::now() < *self.until.lock()
    }
}

/// Positions `after + 1 ..= upto`, for one shard.
#[derive(Debug)]
pub struct Batch {
    pub after: i64,
    pub upto: i64,
    consumer: Consumer,
    lease: Arc<Lease>,
}

impl Batch {
    /// Does what has this key belong to this shard?
    pub fn has(&self, key: &str) -> bool {
        shard_of(key, self.consumer.shards) == self.lease.claimed.shard
    }

    /// Moves the cursor past the batch in the transaction of the work, and commits both.
    pub async fn commit(&self, mut tx: Tx) -> Result<(), ConsumeError> {
        if !cursors::advance(&mut tx, self.consumer.name, self.lease.claimed, self.upto).await? {
            return Err(ConsumeError::LeaseLost);
        }
        // A lost connection here means unknown: then the next attempt finds the cursor moved and takes the shard anew.
        tx.commit().await?;
        self.lease.position.fetch_max(self.upto, Ordering::AcqRel);
        Ok(())
    }
}

/// Works until the lease is lost; otherwise the coordinator ends it.
pub(super) async fn run<W: Work>(shared: Arc<Shared<W>>, lease: Arc<Lease>, mut head: watch::Receiver<i64>) {
    let (mut written, mut written_at) = (lease.position(), Instant::now());
    let mut pause = FIRST_PAUSE;
    loop {
        let after = lease.position();
        let Ok(upto) = head.wait_for(|head| *head > after).await.map(|head| *head) else { return };
        if !lease.is_valid() {
            // The coordinator cannot renew it (the database is away), or is about to end this task.
            tokio::time::sleep(FIRST_PAUSE).await;
            continue;
        }
        let upto = upto.min(after + i64::from(shared.consumer.batch.max(1)));
        let batch = Batch { after, upto, consumer: shared.consumer, lease: lease.clone() };
        let result = match shared.work.work(&batch).await {
            Ok(_) if lease.position() >= upto => Ok(true),
            Ok(Outcome::Nothing)
                if upto - written < IDLE_WRITE_POSITIONS && written_at.elapsed() < IDLE_WRITE_EVERY =>
            {
                lease.position.fetch_max(upto, Ordering::AcqRel);
                Ok(false)
            }
            Ok(_) => write(&shared, &batch).await.map(|()| true),
            Err(error) => Err(error),
        };
        match result {
            Ok(is_written) => {
                pause = FIRST_PAUSE;
                if is_written {
                    (written, written_at) = (upto, Instant::now());
                }
            }
            Err(ConsumeError::LeaseLost) => return,
            Err(error) => {
                shared.metrics.errors.inc();
                let consumer = shared.consumer.name;
                tracing::warn!(consumer, shard = lease.claimed.shard, after, %error, "a batch of a stream failed, trying again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LAST_PAUSE);
            }
        }
    }
}

async fn write<W>(shared: &Shared<W>, batch: &Batch) -> Result<(), ConsumeError> {
    let tx = shared.db.begin().await?;
    batch.commit(tx).await
}

/// Gives the shard back with what is done. Errors only delay the next owner by a lease.
pub(super) async fn give_back<W>(shared: &Shared<W>, lease: &Lease) -> Result<(), StoreError> {
    let position = lease.position();
    if position > lease.claimed.position {
        let mut tx = shared.db.begin().await?;
        cursors::advance(&mut tx, shared.consumer.name, lease.claimed, position).await?;
        tx.commit().await?;
    }
    cursors::release(&shared.db, shared.consumer.name, lease.claimed).await
}
