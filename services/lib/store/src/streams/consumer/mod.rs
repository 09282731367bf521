//! Durable consumers: work that must be done once for every position of a stream, whatever dies meanwhile.
//!
//! # How it stands up
//! A consumer has a fixed number of *shards*; a key (a user, a room, a destination) belongs to one of them for ever
//! ([`shard_of`]). Each shard has a row in `stream_cursors` with the position up to which its work is done. A process
//! works on a shard while it holds the row's *lease*, which it renews; who dies stops renewing, and another
//! process takes the shard over and goes on from the cursor. Shards are shared out evenly among the living.
//!
//! ```text
//!   stream    1 2 3 4 5 6 7 8 9 …                   head
//!   shard 0   ─────────────▶ cursor, owner A, lease 4 s, epoch 7
//!   shard 1   ─────────▶ cursor, owner B, lease expired ──▶ A claims it: epoch 3 → 4, B can no longer move it
//! ```
//!
//! # What [`Work`] must keep
//! A batch may come twice: its first owner may have died, or stalled past its lease, after the work and before the cursor
//! moved. So either the work is SQL alone and is committed with the cursor ([`Batch::commit`]: exactly once, fenced
//! by the epoch), or it is *idempotent by position*. Within a shard batches come in order. An error is retried for ever,
//! more and more slowly: what can never succeed must be skipped by the work itself.
//!
//! The stream's rows must be kept until everybody has [`passed`]. To change the number of shards, give the consumer a new name.

mod coordinator;
mod cursors;
mod shard;

use std::{future::Future, sync::Arc, time::Duration};

use matrixon_runtime::{random, shutdown::Shutdown};
use tokio::{sync::Notify, task::JoinHandle};

pub use self::{cursors::passed, shard::Batch};
use crate::{Db, StoreError, streams::Stream};

/// Who consumes what.
#[derive(Clone, Copy, Debug)]
pub struct Consumer {
    /// `<service>.<purpose>`, for ever.
    pub name: &'static str,
    pub stream: Stream,
    pub shards: u16,
    pub start: Start,
    /// Positions of one batch at most.
    pub batch: u32,
}

/// Where a consumer begins that the database does not know yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Beginning,
    Head,
}

#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How long a shard of a dead process rests.
    pub lease: Duration,
    /// How often to look for news without being woken.
    pub poll: Duration,
    /// No other process uses this database: what a former one left is taken at once.
    pub alone: bool,
}

impl Timing {
    /// An SQLite database belongs to one process; it is spared most of the writes.
    pub fn of(db: &Db) -> Self {
        let (lease, alone) = if db.is_postgres() { (6, false) } else { (60, true) };
        Self { lease: Duration::from_secs(lease), poll: Duration::from_millis(500), alone }
    }
}

/// What was in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// Nothing that concerns this consumer: the cursor need not be written each time.
    Nothing,
}

#[derive(Debug, thiserror::Error)]
pub enum ConsumeError {
    /// Another process has the shard; what was not committed is its business now.
    #[error("the shard has another owner")]
    LeaseLost,
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Tried again later.
    #[error("{0}")]
    Work(String),
}

/// What is done for every batch of positions.
pub trait Work: Send + Sync + 'static {
    /// Does what positions `batch.after + 1 ..= batch.upto` demand of `batch`'s shard.
    fn work(&self, batch: &Batch) -> impl Future<Output = Result<Outcome, ConsumeError>> + Send;
}

/// Tells a consumer that the stream has moved. Losing a call costs [`Timing::poll`].
#[derive(Clone, Debug, Default)]
pub struct Waker(Arc<Notify>);

impl Waker {
    pub fn wake(&self) {
        self.0.notify_one();
    }
}

/// Runs a consumer until the process drains; then its shards are given back. Await the handle last.
pub fn spawn<W: Work>(
    db: Db,
    consumer: Consumer,
    work: W,
    timing: Timing,
    shutdown: Shutdown,
) -> (Waker, JoinHandle<()>) {
    let waker = Waker::default();
    let shared = Arc::new(shard::Shared { db, consumer, work, metrics: shard::Metrics::of(&consumer) });
    let coordinator = coordinator::Coordinator::new(shared, random::id(16), timing, waker.clone());
    let task = tokio::spawn(async move { Box::pin(coordinator.run(shutdown)).await });
    (waker, task)
}

/// To which of `shards` a key belongs: FNV-1a, the same on every machine and in every version.
pub fn shard_of(key: &str, shards: u16) -> i32 {
    let hash = key
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    (hash % u64::from(shards.max(1))) as i32
}

#[cfg(test)]
mod tests {
    use super::shard_of;

    #[test]
    fn keys_stay_where_they_are() {
        // Written down: a change of these would hand users to other shards in the middle of their history.
        assert_eq!(shard_of("@alice:example.org", 8), 5);
        assert_eq!(shard_of("@bob:example.org", 8), 2);
        let mut counts = [0; 8];
        for n in 0..8_000 {
            counts[shard_of(&format!("@user{n}:example.org"), 8) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }
}
