//! Users who sync at this replica: their rooms, whom they ignore, and the bell of their waiting requests.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use matrixon_rooms::Membership;
use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

/// One user's place in one room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The room's interned number.
    pub(crate) room: i64,
    pub(crate) membership: Membership,
    /// Of the membership event.
    pub(crate) position: i64,
}

#[derive(Debug)]
pub(crate) struct OnlineUser {
    pub(crate) rooms: HashMap<Arc<str>, Place>,
    pub(crate) ignored: HashSet<String>,
    pub(crate) bell: Arc<Bell>,
}

/// Wakes the requests of one user that wait.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    pub(crate) notify: Notify,
    waiting: AtomicUsize,
    last_used_ms: AtomicI64,
    rung_at: Mutex<Option<Instant>>,
}

impl Bell {
    pub(crate) fn ring(&self) {
        if self.waiting.load(Ordering::Acquire) > 0 {
            *self.rung_at.lock() = Some(Instant::now());
        }
        self.notify.notify_waiters();
    }

    pub(crate) fn rung_at(&self) -> Option<Instant> {
        *self.rung_at.lock()
    }

    /// Counts a request until the guard is dropped; while there is one the user stays online.
    pub(crate) fn enter(self: &Arc<Self>, now_ms: i64) -> Present {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        self.last_used_ms.store(now_ms, Ordering::Release);
        Present { bell: self.clone() }
    }

    pub(crate) fn is_idle_since(&self, moment_ms: i64) -> bool {
        self.waiting.load(Ordering::Acquire) == 0 && self.last_used_ms.load(Ordering::Acquire) < moment_ms
    }
}

#[derive(Debug)]
pub(crate) struct Present {
    pub(crate) bell: Arc<Bell>,
}

impl Present {
    pub(crate) fn leave(&self, now_ms: i64) {
        self.bell.last_used_ms.store(now_ms, Ordering::Release);
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.bell.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A user's rooms and ignored users as SQL had them at these positions.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoadedUser {
    pub(crate) rooms: Vec<(Arc<str>, Place)>,
    pub(crate) events: i64,
    pub(crate) ignored: Option<Bytes>,
    pub(crate) account_data: i64,
}

pub(crate) const IGNORED_USERS: &str = "m.ignored_user_list";

/// The users that the content of [`IGNORED_USERS`] names; nobody if it is not as it should be.
pub(crate) fn ignored_users(content: &[u8]) -> HashSet<String> {
    let content: serde_json::Value = serde_json::from_slice(content).unwrap_or_default();
    let users = content.get("ignored_users").and_then(serde_json::Value::as_object);
    users.into_iter().flat_map(serde_json::Map::keys).cloned().collect()
}
