//! The cache of sessions and the race it has to win.
//!
//! A session was read by the auth service at or after position `p` of the revocations (the answer says which). This
//! gateway has processed revocations up to `seen`. A revocation at `q > p` may concern the session although the answer
//! says it is alive:
//! - `q > seen`: it will be processed later and removes the entry then;
//! - `q <= seen`: it was processed before the entry existed and will never come again. So the last revocations are
//!   kept, and a session is not cached when one of those after `p` concerns it, or when they are not kept back to `p`.
//!
//! Both sides work under one lock: a session is inserted either before a revocation is applied or after it is kept.

use std::{
    collections::{HashMap, VecDeque},
    sync::atomic::{AtomicBool, AtomicI64, Ordering},
    time::Duration,
};

use matrixon_http::UserAuth;
use matrixon_proto::auth::v1::{ListRevocationsResponse, Revocation};
use parking_lot::RwLock;

/// How many revocations are kept for sessions that are being read.
const KEPT: usize = 4_096;

/// What an entry costs beside the two ids, in bytes: the entry, its places in three collections, allocations.
const OVERHEAD: usize = 320;

type Key = [u8; 32];

#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) user: UserAuth,
    pub(super) expires_at_ms: Option<i64>,
    /// The revocations' position before the auth service read the token.
    pub(super) position: i64,
    /// When the auth service was told of it, unix milliseconds.
    pub(super) seen_ms: i64,
}

pub(super) struct Sessions {
    state: RwLock<State>,
    max_bytes: usize,
}

#[derive(Default)]
struct State {
    entries: HashMap<Key, Entry>,
    by_user: HashMap<String, Vec<Key>>,
    /// Second-chance order of eviction. Keys of removed entries stay until their turn comes.
    order: VecDeque<Key>,
    bytes: usize,
    /// Everything up to here has been applied.
    seen: Option<i64>,
    kept: VecDeque<Revocation>,
    /// Every revocation after this position and up to `seen` is in `kept`.
    kept_after: i64,
}

struct Entry {
    session: Session,
    used: AtomicBool,
    /// When the session was last reported as seen.
    reported_ms: AtomicI64,
}

impl Sessions {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { state: RwLock::default(), max_bytes }
    }

    pub(super) fn find(&self, key: &Key, now_ms: i64) -> Option<UserAuth> {
        let state = self.state.read();
        let entry = state.entries.get(key)?;
        if entry.session.expires_at_ms.is_some_and(|expires_at_ms| expires_at_ms <= now_ms) {
            return None;
        }
        entry.used.store(true, Ordering::Relaxed);
        Some(entry.session.user.clone())
    }

    /// Whether the session is to be reported as seen again; then it is not for the time of `every`.
    pub(super) fn is_due(&self, key: &Key, now_ms: i64, every: Duration) -> bool {
        let state = self.state.read();
        let Some(entry) = state.entries.get(key) else { return false };
        let reported_ms = entry.reported_ms.load(Ordering::Relaxed);
        now_ms - reported_ms >= every.as_millis() as i64
            && entry.reported_ms.compare_exchange(reported_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Caches a session, unless a revocation that was already applied may concern it.
    pub(super) fn insert(&self, session: Session) {
        let mut state = self.state.write();
        if state.may_have_missed(&session) {
            return;
        }
        state.remove(&session.user.token_sha256);
        state.insert(session);
        while state.bytes > self.max_bytes && state.evict_one() {}
    }

    /// Forgets what is cached of a user.
    pub(super) fn forget_user(&self, user_id: &str) {
        let mut state = self.state.write();
        for key in state.by_user.get(user_id).cloned().unwrap_or_default() {
            state.remove(&key);
        }
    }

    /// What to ask for next; `None`: only for the current position.
    pub(super) fn seen(&self) -> Option<i64> {
        self.state.read().seen
    }

    pub(super) fn apply(&self, answer: ListRevocationsResponse) {
        let mut state = self.state.write();
        let in_order = state.seen.is_some_and(|seen| answer.position >= seen);
        if !in_order || answer.gap {
            // The first answer, one with a gap, or a database that went back in time: anything may have happened.
            state.forget_all(answer.position);
            return;
        }
        for revocation in answer.revocations {
            if state.seen.is_some_and(|seen| revocation.position > seen) {
                state.revoke(revocation);
            }
        }
        state.seen = Some(answer.position);
    }
}

impl State {
    fn may_have_missed(&self, session: &Session) -> bool {
        let Some(seen) = self.seen else { return false };
        if session.position >= seen {
            return false;
        }
        session.position < self.kept_after
            || self
                .kept
                .iter()
                .rev()
                .take_while(|one| one.position > session.position)
                .any(|one| concerns(one, &session.user))
    }

    fn revoke(&mut self, revocation: Revocation) {
        let candidates = self.by_user.get(&revocation.user_id).cloned().unwrap_or_default();
        for key in candidates {
            let revoked = self.entries.get(&key).is_some_and(|entry| {
                entry.session.position < revocation.position && concerns(&revocation, &entry.session.user)
            });
            if revoked {
                self.remove(&key);
            }
        }
        if self.kept.len() == KEPT
            && let Some(oldest) = self.kept.pop_front()
        {
            self.kept_after = oldest.position;
        }
        self.kept.push_back(revocation);
    }

    /// Sessions that were read at or after `position` stay good.
    fn forget_all(&mut self, position: i64) {
        let went_back = self.seen.is_some_and(|seen| position < seen);
        let stale: Vec<Key> = self
            .entries
            .iter()
            .filter(|(_, entry)| went_back || entry.session.position < position)
            .map(|(key, _)| *key)
            .collect();
        for key in stale {
            self.remove(&key);
        }
        self.kept.clear();
        self.kept_after = position;
        self.seen = Some(position);
    }

    fn insert(&mut self, session: Session) {
        let key = session.user.token_sha256;
        self.bytes += cost(&session.user);
        self.by_user.entry(session.user.user_id.to_string()).or_default().push(key);
        let reported_ms = AtomicI64::new(session.seen_ms);
        self.entries.insert(key, Entry { session, used: AtomicBool::new(false), reported_ms });
        self.order.push_back(key);
        // Removed entries leave their keys behind.
        if self.order.len() > 2 * self.entries.len() + 1_024 {
            let entries = &self.entries;
            let mut listed = std::collections::HashSet::new();
            self.order.retain(|key| entries.contains_key(key) && listed.insert(*key));
        }
    }

    fn remove(&mut self, key: &Key) {
        let Some(Entry { session, .. }) = self.entries.remove(key) else { return };
        self.bytes -= cost(&session.user);
        let user_id = session.user.user_id.as_str();
        if let Some(keys) = self.by_user.get_mut(user_id) {
            keys.retain(|one| one != key);
            if keys.is_empty() {
                self.by_user.remove(user_id);
            }
        }
    }

    fn evict_one(&mut self) -> bool {
        while let Some(key) = self.order.pop_front() {
            let Some(entry) = self.entries.get(&key) else { continue };
            if entry.used.swap(false, Ordering::Relaxed) {
                self.order.push_back(key);
                continue;
            }
            self.remove(&key);
            return true;
        }
        false
    }
}

fn cost(user: &UserAuth) -> usize {
    OVERHEAD + 2 * user.user_id.as_str().len() + user.device_id.as_str().len()
}

/// Empty fields mean every device, every token.
fn concerns(revocation: &Revocation, user: &UserAuth) -> bool {
    revocation.user_id == user.user_id.as_str()
        && (revocation.device_id.is_empty() || revocation.device_id == user.device_id.as_str())
        && (revocation.token_sha256.is_empty() || *revocation.token_sha256 == user.token_sha256)
}
