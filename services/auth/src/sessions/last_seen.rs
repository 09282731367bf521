//! When devices were last heard of: gathered in memory, written in bulk. Losing a minute of it matters to nobody.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
};

use matrixon_store::{Db, StoreError};
use parking_lot::Mutex;

use crate::store::devices::{self, Seen};

/// Sightings held at most; more are dropped until the next write.
const MAX_PENDING: usize = 50_000;
/// Rows of one statement.
const BATCH: usize = 500;
/// Longer user agents are cut.
const MAX_USER_AGENT_CHARS: usize = 256;

#[derive(Debug, Default)]
pub(crate) struct LastSeen {
    pending: Mutex<HashMap<i64, Seen>>,
}

impl LastSeen {
    pub(crate) fn note(&self, device: i64, now_ms: i64, ip: Option<IpAddr>, user_agent: Option<&str>) {
        let mut pending = self.pending.lock();
        let room = pending.len() < MAX_PENDING;
        let seen = match pending.entry(device) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) if room => entry.insert(Seen { device, ts: now_ms, ip: None, user_agent: None }),
            Entry::Vacant(_) => return,
        };
        seen.ts = seen.ts.max(now_ms);
        if let Some(ip) = ip {
            seen.ip = Some(ip.to_string());
        }
        if let Some(user_agent) = user_agent {
            seen.user_agent = Some(shorten_user_agent(user_agent));
        }
    }

    /// Writes what has gathered. What cannot be written is dropped.
    pub(crate) async fn flush(&self, db: &Db) -> Result<usize, StoreError> {
        let pending = std::mem::take(&mut *self.pending.lock());
        let mut pending: Vec<Seen> = pending.into_values().collect();
        // one order in every replica: two bulk updates cannot wait for each other
        pending.sort_unstable_by_key(|seen| seen.device);
        for batch in pending.chunks(BATCH) {
            devices::update_last_seen(db, batch).await?;
        }
        Ok(pending.len())
    }
}

pub(crate) fn shorten_user_agent(user_agent: &str) -> String {
    user_agent.chars().take(MAX_USER_AGENT_CHARS).collect()
}
