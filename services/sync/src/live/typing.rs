//! Who is typing where. Ephemeral: it lives in memory, in the cache for replicas that start, and ends by itself.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use matrixon_proto::bus::v1::TypingChange;

/// A room in which nobody types any more is remembered this long, so that clients which slept hear of the end.
const REMEMBER_MS: i64 = 10 * 60_000;

#[derive(Debug, Default)]
pub(crate) struct Typing {
    rooms: HashMap<Arc<str>, TypingRoom>,
    /// The newest change; rises with every one, even when the clocks of replicas differ.
    last_ms: i64,
}

#[derive(Debug, Default)]
struct TypingRoom {
    /// User id → when the notice ends by itself.
    until_ms: BTreeMap<String, i64>,
    changed_ms: i64,
}

impl Typing {
    pub(crate) fn last_ms(&self) -> i64 {
        self.last_ms
    }

    /// True if somebody began or stopped typing.
    pub(crate) fn apply(&mut self, change: &TypingChange, now_ms: i64) -> bool {
        let ends = change.until_ms;
        if ends <= now_ms && !self.rooms.contains_key(change.room_id.as_str()) {
            return false;
        }
        let room = self.rooms.entry(change.room_id.as_str().into()).or_default();
        let changed = if ends > now_ms {
            room.until_ms.insert(change.user_id.clone(), ends).is_none()
        } else {
            room.until_ms.remove(&change.user_id).is_some()
        };
        if changed {
            self.last_ms = change.changed_ms.max(self.last_ms + 1);
            room.changed_ms = self.last_ms;
        }
        changed
    }

    /// Who leaves a room does not type there any more.
    pub(crate) fn leave(&mut self, room_id: &str, user_id: &str) {
        let Some(room) = self.rooms.get_mut(room_id) else { return };
        if room.until_ms.remove(user_id).is_some() {
            self.last_ms += 1;
            room.changed_ms = self.last_ms;
        }
    }

    /// Ends what has run out and returns the rooms that changed.
    pub(crate) fn expire(&mut self, now_ms: i64) -> Vec<Arc<str>> {
        let mut changed = Vec::new();
        for (room_id, room) in &mut self.rooms {
            let before = room.until_ms.len();
            room.until_ms.retain(|_, until_ms| *until_ms > now_ms);
            if room.until_ms.len() < before {
                self.last_ms = now_ms.max(self.last_ms + 1);
                room.changed_ms = self.last_ms;
                changed.push(room_id.clone());
            }
        }
        self.rooms.retain(|_, room| !room.until_ms.is_empty() || room.changed_ms + REMEMBER_MS > now_ms);
        changed
    }

    pub(crate) fn next_end_ms(&self) -> Option<i64> {
        self.rooms.values().flat_map(|room| room.until_ms.values()).min().copied()
    }

    /// Rooms whose typing users changed after that moment, with those users.
    pub(crate) fn since(&self, since_ms: i64) -> impl Iterator<Item = (&Arc<str>, Vec<&str>)> {
        self.rooms
            .iter()
            .filter(move |(_, room)| room.changed_ms > since_ms)
            .map(|(room_id, room)| (room_id, room.until_ms.keys().map(String::as_str).collect()))
    }
}

#[cfg(test)]
mod tests {
    use matrixon_proto::bus::v1::TypingChange;

    use super::Typing;

    fn change(user: &str, until_ms: i64, changed_ms: i64) -> TypingChange {
        TypingChange { room_id: "!a:b".into(), user_id: user.into(), until_ms, changed_ms }
    }

    fn users(typing: &Typing, since_ms: i64) -> Option<Vec<String>> {
        typing.since(since_ms).next().map(|(_, users)| users.into_iter().map(str::to_owned).collect())
    }

    #[test]
    fn begins_goes_on_stops_and_runs_out() {
        let mut typing = Typing::default();
        assert!(typing.apply(&change("@a:b", 30_000, 1_000), 1_000));
        let seen = typing.last_ms();
        assert!(!typing.apply(&change("@a:b", 40_000, 2_000), 2_000), "still typing is no news");
        assert_eq!(users(&typing, seen), None);
        // a replica whose clock is behind
        assert!(typing.apply(&change("@c:b", 35_000, 500), 2_000));
        assert_eq!(users(&typing, seen).unwrap(), ["@a:b", "@c:b"]);
        assert_eq!(typing.next_end_ms(), Some(35_000));
        assert_eq!(typing.expire(35_000).len(), 1);
        assert_eq!(users(&typing, seen).unwrap(), ["@a:b"]);
        assert!(typing.apply(&change("@a:b", 0, 36_000), 36_000));
        assert_eq!(users(&typing, 35_000).unwrap(), [""; 0]);
        assert!(!typing.apply(&change("@a:b", 0, 36_001), 36_001));
        assert!(typing.apply(&change("@a:b", 60_000, 40_000), 40_000));
        let seen = typing.last_ms();
        typing.leave("!a:b", "@c:b");
        assert_eq!(users(&typing, seen), None, "was not typing");
        typing.leave("!a:b", "@a:b");
        assert_eq!(users(&typing, seen).unwrap(), [""; 0]);
    }
}
