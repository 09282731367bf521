//! What the room service appends, and what becomes of it.

use ruma::OwnedRoomId;

/// One append: the events of one room that are committed together, or not at all.
#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) target: Target,
    pub(crate) room_id: OwnedRoomId,
    pub(crate) events: Vec<EventWrite>,
    /// The room's forward extremities afterwards, a JSON array.
    pub(crate) extremities: String,
    /// The room's depth afterwards.
    pub(crate) depth: i64,
    pub(crate) dedupe: Dedupe,
    pub(crate) now_ms: i64,
}

#[derive(Debug)]
pub(crate) enum Target {
    /// An existing room, and what the events were computed on: its version and its forward extremities (a JSON array).
    /// The version alone would not do: another replica may have reached the same number by another event.
    Room {
        room: i64,
        base: i64,
        tips: String,
    },
    New(NewRoom),
}

#[derive(Debug)]
pub(crate) struct NewRoom {
    pub(crate) room_version: &'static str,
    pub(crate) published: bool,
    /// The alias and who made it.
    pub(crate) alias: Option<(String, String)>,
}

/// How a repetition of the same request is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Dedupe {
    None,
    /// The transaction id of the sender's device.
    Txn {
        sender: String,
        device_id: String,
        txn_id: String,
    },
    /// The gateway's idempotency key, for requests without a transaction id.
    Key(String),
}

#[derive(Debug)]
pub(crate) struct EventWrite {
    pub(crate) event_id: String,
    pub(crate) event_type: String,
    pub(crate) state_key: Option<String>,
    pub(crate) sender: String,
    pub(crate) depth: i64,
    pub(crate) origin_server_ts: i64,
    pub(crate) json: String,
    pub(crate) hidden_json: String,
    pub(crate) membership: Option<String>,
    pub(crate) history_visibility: i16,
    pub(crate) redaction: Option<Redaction>,
}

/// The event that a redaction empties, in its redacted form.
#[derive(Clone, Debug)]
pub(crate) struct Redaction {
    pub(crate) event_id: String,
    pub(crate) json: String,
    pub(crate) is_state: bool,
}

/// Why an append dropped out of its batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The room has moved on: compute again.
    Conflict,
    /// The same request was committed before. Its event id, or the room id of a new room.
    Duplicate(String),
    AliasInUse,
}

/// A committed append.
#[derive(Debug)]
pub(crate) struct Committed {
    pub(crate) room: i64,
    pub(crate) events: Vec<Placed>,
}

/// Where an event ended up.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) position: i64,
    pub(crate) state_before: i64,
    pub(crate) state_after: i64,
    /// The state event that this one replaced.
    pub(crate) replaced: Option<Replaced>,
}

#[derive(Clone, Debug)]
pub(crate) struct Replaced {
    pub(crate) position: i64,
    pub(crate) json: String,
}

impl Append {
    /// The transaction id and device that sent an event.
    pub(crate) fn txn(&self) -> Option<(&str, &str, &str)> {
        match &self.dedupe {
            Dedupe::Txn { sender, device_id, txn_id } => Some((sender, device_id, txn_id)),
            Dedupe::None | Dedupe::Key(_) => None,
        }
    }

    /// Only messages: the state is what it was, and no stored row changes.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.target, Target::Room { .. })
            && matches!(self.dedupe, Dedupe::None | Dedupe::Txn { .. })
            && self.events.iter().all(|event| event.state_key.is_none() && event.redaction.is_none())
    }

    pub(crate) fn bytes(&self) -> usize {
        self.events.iter().map(|event| 400 + event.json.len() + event.hidden_json.len()).sum()
    }
}
