//! The replicas of one role, and the choice among them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use matrixon_runtime::role::Role;
use parking_lot::RwLock;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::Replica;
use crate::{Address, ReplicaState, ReplicaStatus, budget::Budget, select, timing::Timing};

pub(crate) struct Members {
    pub(crate) role: Role,
    pub(crate) budget: Budget,
    pub(crate) timing: Timing,
    /// Asks for a new look at the list: nobody in it takes calls.
    pub(crate) look: Notify,
    replicas: RwLock<Arc<[Arc<Replica>]>>,
    changed: watch::Sender<u64>,
    stop: CancellationToken,
}

impl Members {
    pub(crate) fn new(role: Role, stop: CancellationToken, timing: Timing) -> Self {
        Self {
            role,
            budget: Budget::new(),
            timing,
            look: Notify::new(),
            replicas: RwLock::new(Arc::new([])),
            changed: watch::Sender::new(0),
            stop,
        }
    }

    /// Replicas that remain keep their connections and calls; those that left finish what they have.
    /// Each comes with whether it is held back: then it takes calls only when no other does.
    pub(crate) fn update(&self, addresses: &BTreeMap<Address, bool>) {
        let mut replicas = self.replicas.write();
        let mut known: BTreeMap<Address, Arc<Replica>> =
            replicas.iter().map(|replica| (replica.address.clone(), replica.clone())).collect();
        let mut next = BTreeMap::new();
        for (address, held) in addresses {
            let replica = known.remove(address).unwrap_or_else(|| {
                tracing::info!(role = %self.role, replica = %address, "replica found");
                Replica::start(address.clone(), self.changed.clone(), &self.stop, self.timing)
            });
            replica.hold(*held);
            next.insert(address.clone(), replica);
        }
        for gone in known.values() {
            tracing::info!(role = %self.role, replica = %gone.name, "replica left");
            gone.retire();
        }
        *replicas = next.into_values().collect();
        drop(replicas);
        self.changed.send_modify(|changes| *changes += 1);
    }

    pub(crate) fn statuses(&self) -> Vec<ReplicaStatus> {
        self.replicas.read().iter().map(|replica| replica.status()).collect()
    }

    /// Wakes whoever watches for changes of state; for tests and for calls that wait.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// A replica for the next attempt, best one that was not tried before. Waits until `until` when there is none.
    pub(crate) async fn choose(
        &self,
        key: Option<u64>,
        tried: &[Arc<Replica>],
        until: Instant,
    ) -> Option<Arc<Replica>> {
        if let Some(replica) = self.pick(key, tried) {
            return Some(replica);
        }
        let mut changes = self.changes();
        loop {
            changes.mark_unchanged();
            if let Some(replica) = self.pick(key, tried) {
                return Some(replica);
            }
            let replicas = self.replicas.read().clone();
            self.look.notify_one();
            let reopening = replicas.iter().filter(|replica| replica.state() == ReplicaState::Ready);
            let reopening = reopening.filter_map(|replica| replica.breaker.blocked_until()).min();
            let wake = reopening.map_or(until, |at| (at + Duration::from_millis(1)).min(until));
            let woken = timeout_at(wake, changes.changed()).await;
            if woken.is_err() && Instant::now() >= until {
                return None;
            }
        }
    }

    fn pick(&self, key: Option<u64>, tried: &[Arc<Replica>]) -> Option<Arc<Replica>> {
        let replicas = self.replicas.read().clone();
        let replica = pick(&replicas, key, tried)?;
        replica.breaker.enter();
        Some(replica.clone())
    }
}

/// Ready ones first, those not tried first; a draining one before none at all.
fn pick<'r>(replicas: &'r [Arc<Replica>], key: Option<u64>, tried: &[Arc<Replica>]) -> Option<&'r Arc<Replica>> {
    let is_new = |replica: &Arc<Replica>| !tried.iter().any(|other| Arc::ptr_eq(other, replica));
    let mut ready: Vec<&Arc<Replica>> = replicas
        .iter()
        .filter(|replica| replica.state() == ReplicaState::Ready && replica.breaker.blocked_until().is_none())
        .collect();
    if ready.iter().any(|replica| is_new(replica)) {
        ready.retain(|replica| is_new(replica));
    }
    if ready.is_empty() {
        ready.extend(replicas.iter().filter(|replica| replica.state() == ReplicaState::Draining && is_new(replica)));
    }
    let chosen = match key {
        Some(key) => select::rendezvous(key, &ready, |replica| replica.seed),
        None => select::less_busy(&ready, |replica| replica.in_flight()),
    };
    chosen.copied()
}
