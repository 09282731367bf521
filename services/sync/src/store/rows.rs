//! Rows of `events` with what /sync needs of their neighbours, as [`Event`]s.

use std::{collections::HashMap, sync::Arc};

use matrixon_rooms::{EventRow, HistoryVisibility, Membership};
use matrixon_store::from_row;

use crate::{json, live::event::Event};

pub(super) struct Row {
    pub(super) position: i64,
    pub(super) room: i64,
    room_id: String,
    event_id: String,
    event_type: String,
    state_key: Option<String>,
    sender: String,
    origin_server_ts: i64,
    json: String,
    membership: Option<String>,
    history_visibility: i16,
    device_id: Option<String>,
    txn_id: Option<String>,
    previous: Option<String>,
    redaction: Option<String>,
    /// Head of the stream when the statement ran.
    pub(super) head: i64,
}

from_row!(Row {
    position,
    room,
    room_id,
    event_id,
    event_type,
    state_key,
    sender,
    origin_server_ts,
    json,
    membership,
    history_visibility,
    device_id,
    txn_id,
    previous,
    redaction,
    head
});

/// `select` of [`Row`] for event `e`, to be continued with a `from` and [`joins`].
macro_rules! select {
    ($($rest:literal),+ $(,)?) => {
        concat!(
            "select e.position, e.room, r.room_id, e.event_id, e.event_type, e.state_key, e.sender, e.origin_server_ts, ",
            "e.json, e.membership, e.history_visibility, e.device_id, e.txn_id, p.json as previous, d.json as redaction, ",
            "(select s.position from stream_positions s where s.stream = 'events') as head ",
            $($rest),+
        )
    };
}
pub(super) use select;

/// Strings that repeat from row to row are shared.
#[derive(Default)]
pub(super) struct Interner(HashMap<String, Arc<str>>);

impl Interner {
    pub(super) fn intern(&mut self, text: String) -> Arc<str> {
        self.0.entry(text).or_insert_with_key(|text| Arc::from(text.as_str())).clone()
    }

    pub(super) fn event(&mut self, row: Row) -> Arc<Event> {
        let membership = row.membership.filter(|word| !word.is_empty());
        Arc::new(Event {
            position: row.position,
            room: row.room,
            room_id: self.intern(row.room_id),
            event_id: row.event_id.into(),
            event_type: self.intern(row.event_type),
            state_key: row.state_key.map(|key| self.intern(key)),
            sender: self.intern(row.sender),
            origin_server_ts: row.origin_server_ts,
            json: json::without_room_id(row.json.as_bytes()),
            membership: membership.map(|word| Membership::parse(&word)),
            visibility: Some(HistoryVisibility::from_column(row.history_visibility)),
            sent_by: row.device_id.zip(row.txn_id).map(Box::new),
            previous: row.previous.map(|previous| json::without_room_id(previous.as_bytes())),
            redaction: row.redaction.map(|redaction| json::without_room_id(redaction.as_bytes())),
        })
    }

    /// A row of the shared read side, for state: what it replaced is not known.
    pub(super) fn state_event(&mut self, row: EventRow, room_id: &Arc<str>) -> Arc<Event> {
        let visibility = row.visibility();
        Arc::new(Event {
            position: row.position,
            room: row.room,
            room_id: room_id.clone(),
            event_id: row.event_id.into(),
            event_type: self.intern(row.event_type),
            state_key: row.state_key.map(|key| self.intern(key)),
            sender: self.intern(row.sender),
            origin_server_ts: row.origin_server_ts,
            json: json::without_room_id(row.json.as_bytes()),
            membership: row.membership.map(|word| Membership::parse(&word)),
            visibility: Some(visibility),
            sent_by: None,
            previous: None,
            redaction: None,
        })
    }
}

impl Row {
    pub(super) fn is_membership_of(&self, user_id: &str) -> bool {
        self.event_type == crate::live::event::MEMBER && self.state_key.as_deref() == Some(user_id)
    }
}
