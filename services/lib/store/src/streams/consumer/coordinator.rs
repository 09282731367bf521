//! One task a consumer and process: renews leases, takes its part of the shards, and looks where the stream is.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use matrixon_runtime::shutdown::Shutdown;
use tokio::{sync::watch, task::JoinHandle};

use super::{
    Timing, Waker, Work,
    cursors::{self, Claim, Claimed},
    shard::{self, Lease, Shared},
};
use crate::{StoreError, streams};

struct Held {
    lease: Arc<Lease>,
    task: JoinHandle<()>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) struct Coordinator<W: Work> {
    shared: Arc<Shared<W>>,
    owner: String,
    timing: Timing,
    waker: Waker,
    head: watch::Sender<i64>,
    held: BTreeMap<i32, Held>,
    /// Nothing was claimed yet.
    is_new: bool,
}

impl<W: Work> Coordinator<W> {
    pub(super) fn new(shared: Arc<Shared<W>>, owner: String, timing: Timing, waker: Waker) -> Self {
        Self { shared, owner, timing, waker, head: watch::Sender::new(0), held: BTreeMap::new(), is_new: true }
    }

    pub(super) async fn run(mut self, shutdown: Shutdown) {
        let mut is_ready = false;
        while !shutdown.draining() {
            if let Err(error) = self.beat(&mut is_ready).await {
                tracing::debug!(consumer = self.shared.consumer.name, %error, "leases cannot be renewed");
            }
            let next_beat = tokio::time::Instant::now() + self.timing.lease / 3;
            loop {
                self.look().await;
                tokio::select! {
                    () = tokio::time::sleep_until(next_beat) => break,
                    () = tokio::time::sleep(self.timing.poll) => {}
                    () = self.waker.0.notified() => {}
                    () = shutdown.wait_draining() => break,
                }
                if !is_ready || self.held.values().any(|held| held.task.is_finished()) {
                    break; // the database was away, or a shard has to be taken anew
                }
            }
        }
        self.leave().await;
    }

    /// Where is the stream?
    async fn look(&self) {
        match streams::head(&self.shared.db, self.shared.consumer.stream).await {
            Ok(head) => {
                self.head.send_if_modified(|known| std::mem::replace(known, head) != head);
                let behind = self.held.values().map(|held| head - held.lease.position()).max().unwrap_or(0);
                self.shared.metrics.lag.set(behind);
            }
            Err(error) => tracing::debug!(%error, "a stream cannot be read"),
        }
    }

    async fn beat(&mut self, is_ready: &mut bool) -> Result<(), StoreError> {
        if !*is_ready {
            cursors::ensure(&self.shared.db, &self.shared.consumer).await?;
            *is_ready = true;
        }
        self.give_back_finished().await?;
        let (name, lease_ms) = (self.shared.consumer.name, self.timing.lease.as_millis() as i64);
        let until = Instant::now() + self.timing.lease;
        let mut tx = self.shared.db.begin().await?;
        let alive = cursors::report_alive(&mut tx, name, &self.owner, lease_ms).await?;
        let alive = if self.timing.alone { 1 } else { alive.max(1) };
        let renewed = cursors::renew(&mut tx, name, &self.owner, lease_ms).await?;
        let share = (i64::from(self.shared.consumer.shards) + alive - 1) / alive;
        let most = share - renewed.len() as i64;
        let claimed = if most > 0 {
            let by_force = self.timing.alone && self.is_new;
            cursors::claim(&mut tx, Claim { consumer: name, owner: &self.owner, lease_ms, most, by_force }).await?
        } else {
            Vec::new()
        };
        tx.commit().await?;
        self.is_new = false;
        self.held.retain(|shard, _| renewed.contains(shard));
        for held in self.held.values() {
            held.lease.extend(until);
        }
        for claimed in claimed {
            self.start(claimed, until);
        }
        self.shared.metrics.shards.set(self.held.len() as i64);
        self.give_back_surplus(share).await
    }

    fn start(&mut self, claimed: Claimed, until: Instant) {
        tracing::debug!(
            consumer = self.shared.consumer.name,
            shard = claimed.shard,
            position = claimed.position,
            "shard taken"
        );
        let lease = Arc::new(Lease::new(claimed, until));
        let task = tokio::spawn(shard::run(self.shared.clone(), lease.clone(), self.head.subscribe()));
        self.held.insert(claimed.shard, Held { lease, task });
    }

    /// A task that found its lease lost, or not to be sure of where it is: the row says.
    async fn give_back_finished(&mut self) -> Result<(), StoreError> {
        let finished: Vec<i32> =
            self.held.iter().filter(|(_, held)| held.task.is_finished()).map(|(shard, _)| *shard).collect();
        for shard in finished {
            if let Some(held) = self.held.remove(&shard) {
                cursors::release(&self.shared.db, self.shared.consumer.name, held.lease.claimed).await?;
            }
        }
        Ok(())
    }

    /// Another process has come: it takes what is more than this one's part.
    async fn give_back_surplus(&mut self, share: i64) -> Result<(), StoreError> {
        while self.held.len() as i64 > share.max(1) {
            let Some((_, held)) = self.held.pop_last() else { break };
            self.stop(held).await?;
        }
        Ok(())
    }

    async fn stop(&self, mut held: Held) -> Result<(), StoreError> {
        held.task.abort();
        // cancelled between two of its steps, or at its end: after this it does nothing more
        let _ended = (&mut held.task).await;
        shard::give_back(&self.shared, &held.lease).await
    }

    async fn leave(mut self) {
        for held in std::mem::take(&mut self.held).into_values() {
            if let Err(error) = self.stop(held).await {
                tracing::debug!(%error, "a shard could not be given back");
            }
        }
        if let Err(error) = cursors::leave(&self.shared.db, self.shared.consumer.name, &self.owner).await {
            tracing::debug!(%error, "a consumer could not take its leave");
        }
        self.shared.metrics.lag.set(0);
        self.shared.metrics.shards.set(0);
    }
}
