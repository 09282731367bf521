//! Which member events a device has already got, for lazy loading without repetition.
//! <https://spec.matrix.org/v1.19/client-server-api/#lazy-loading-room-members>

use std::{collections::HashMap, hash::BuildHasher as _, hash::RandomState, sync::Arc};

use parking_lot::Mutex;

/// Members remembered for one device; when there are more, it begins anew (members are then sent once more).
const MAX_MEMBERS: usize = 1_000;

/// A member event counts as sent when the client comes back with a token that is at least as new as the response that
/// carried it: a response that was lost on the way is made again in full.
#[derive(Debug, Default)]
pub(crate) struct SentMembers {
    hasher: RandomState,
    /// Hash of (room, event id) → `events` of the token it went out with.
    sent: Mutex<HashMap<u64, i64>>,
}

impl SentMembers {
    pub(crate) fn knows(&self, room_id: &Arc<str>, event_id: &str, since: i64) -> bool {
        self.sent.lock().get(&self.hasher.hash_one((room_id, event_id))).is_some_and(|sent| *sent <= since)
    }

    pub(crate) fn mark(&self, room_id: &Arc<str>, event_id: &str, next: i64) {
        let mut sent = self.sent.lock();
        if sent.len() >= MAX_MEMBERS {
            sent.clear();
        }
        // the earliest token counts: the client has it from there on
        sent.entry(self.hasher.hash_one((room_id, event_id))).or_insert(next);
    }
}

#[cfg(test)]
mod tests {
    use super::SentMembers;

    #[test]
    fn only_what_the_client_has_acknowledged_counts_as_sent() {
        let (sent, room) = (SentMembers::default(), "!a:b".into());
        assert!(!sent.knows(&room, "$e", 10));
        sent.mark(&room, "$e", 10);
        assert!(!sent.knows(&room, "$e", 9), "asked again with the token before");
        assert!(sent.knows(&room, "$e", 10));
        sent.mark(&room, "$e", 20);
        assert!(sent.knows(&room, "$e", 12));
    }
}
