//! The head of a room: what the next event is computed from. A cache only: every append checks the room's version in SQL.

mod cache;
mod load;
mod plan;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use matrixon_matrix::{Built, Pdu, RoomVersion, StateLookup};
use matrixon_rooms::HistoryVisibility;
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, UserId, events::StateEventType};

pub(crate) use cache::{Heads, Slot};
pub(crate) use plan::{Planned, needed_state, plan, to_write};

pub(crate) type StateKey = (StateEventType, String);

/// Entries of the state that a head keeps at most; then it starts over from SQL.
const MAX_STATE_ENTRIES: usize = 2_000;
/// `prev_events` at most.
const MAX_EXTREMITIES: usize = 20;

pub(crate) struct Head {
    /// The room's interned number.
    pub(crate) room: i64,
    pub(crate) room_id: OwnedRoomId,
    pub(crate) version: RoomVersion,
    /// `rooms.version` after all that was appended on this head, committed or not.
    pub(crate) revision: i64,
    pub(crate) extremities: Vec<OwnedEventId>,
    pub(crate) depth: i64,
    /// Which reading of SQL it stems from.
    pub(crate) generation: u64,
    /// An append on it failed: read SQL before using it again.
    pub(crate) stale: bool,
    loaded: Loaded,
    /// State was appended since it was loaded.
    state_changed: bool,
    /// Some of the current state; None: known not to exist.
    state: HashMap<StateKey, Option<Arc<Pdu>>>,
    /// Senders of messages that the rules allow in this state.
    senders: HashMap<OwnedUserId, Sender>,
}

/// The state in SQL that the cached state stems from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Loaded {
    snapshot: i64,
    redactions: i64,
}

/// The verdict on a message depends on its sender and type alone, until the state changes.
#[derive(Default)]
struct Sender {
    auth_events: Vec<OwnedEventId>,
    allowed_types: HashSet<String>,
}

impl Head {
    /// Of a room that is being created, with only its create event.
    pub(crate) fn of_new_room(version: RoomVersion, create: &Built) -> Self {
        let mut head = Self {
            room: 0,
            room_id: create.room_id.clone(),
            version,
            revision: 1,
            extremities: Vec::new(),
            depth: 0,
            generation: 0,
            stale: false,
            loaded: Loaded { snapshot: 0, redactions: 0 },
            state_changed: true,
            state: HashMap::new(),
            senders: HashMap::new(),
        };
        head.apply(create);
        head
    }

    /// State of this type and key, which must have been required before.
    pub(crate) fn state(&self, event_type: &StateEventType, state_key: &str) -> Option<&Arc<Pdu>> {
        self.state.get(&(event_type.clone(), state_key.to_owned())).and_then(Option::as_ref)
    }

    /// `leave` for strangers.
    pub(crate) fn membership(&self, user_id: &UserId) -> String {
        self.state(&StateEventType::RoomMember, user_id.as_str())
            .and_then(|event| event.content_str("membership"))
            .unwrap_or_else(|| "leave".to_owned())
    }

    fn history_visibility(&self) -> HistoryVisibility {
        let event = self.state(&StateEventType::RoomHistoryVisibility, "");
        HistoryVisibility::parse(event.and_then(|event| event.content_str("history_visibility")).as_deref())
    }

    /// Moves on to a state in which the event is the newest.
    pub(crate) fn apply(&mut self, built: &Built) {
        self.extremities = vec![built.pdu.event_id.clone()];
        self.depth = built.pdu.depth;
        if let Some(state_key) = &built.pdu.state_key {
            let key = (StateEventType::from(built.pdu.event_type.to_string()), state_key.clone());
            self.state.insert(key, Some(Arc::new(built.pdu.clone())));
            self.state_changed = true;
            self.senders.clear();
        }
    }

    /// Rough size in memory, bytes.
    fn bytes(&self) -> usize {
        let state: usize = self.state.values().map(|event| 150 + event.as_ref().map_or(0, |event| event.bytes())).sum();
        600 + state + self.senders.len() * 400
    }
}

impl StateLookup for Head {
    fn find(&self, event_type: &StateEventType, state_key: &str) -> Option<Arc<Pdu>> {
        self.state(event_type, state_key).cloned()
    }
}
