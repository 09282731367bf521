//! Events as this replica keeps them in memory: the bytes that go out, and what decides who gets them.

use std::sync::Arc;

use bytes::Bytes;
use matrixon_proto::bus::v1::EventItem;
use matrixon_rooms::{HistoryVisibility, Membership};

use crate::json;

pub(crate) const MEMBER: &str = "m.room.member";
pub(crate) const VISIBILITY: &str = "m.room.history_visibility";

#[derive(Clone, Debug)]
#[expect(clippy::struct_field_names, reason = "`event_id` and `event_type` are the words of the protocol")]
pub(crate) struct Event {
    pub(crate) position: i64,
    /// The room's interned number.
    pub(crate) room: i64,
    pub(crate) room_id: Arc<str>,
    pub(crate) event_id: Box<str>,
    pub(crate) event_type: Arc<str>,
    pub(crate) state_key: Option<Arc<str>>,
    pub(crate) sender: Arc<str>,
    pub(crate) origin_server_ts: i64,
    /// The client form without `unsigned` and without `room_id`.
    pub(crate) json: Bytes,
    pub(crate) membership: Option<Membership>,
    /// In force at the event. Bells do not carry it: None while the room's state is not in memory.
    pub(crate) visibility: Option<HistoryVisibility>,
    /// Device and transaction id.
    pub(crate) sent_by: Option<Box<(String, String)>>,
    /// Client form of the state event that this one replaced, like `json`.
    pub(crate) previous: Option<Bytes>,
    /// The redaction that took its content away, like `json`.
    pub(crate) redaction: Option<Bytes>,
}

impl Event {
    pub(crate) fn from_item(item: EventItem) -> Self {
        let json = json::without_room_id(&item.json);
        Self {
            position: item.position,
            room: item.room,
            room_id: item.room_id.into(),
            event_id: item.event_id.into(),
            event_type: item.event_type.into(),
            state_key: item.state_key.map(Into::into),
            sender: item.sender.into(),
            origin_server_ts: timestamp(&json),
            membership: (!item.membership.is_empty()).then(|| Membership::parse(&item.membership)),
            visibility: None,
            sent_by: (!item.txn_id.is_empty()).then(|| Box::new((item.device_id, item.txn_id))),
            previous: item.prev_json.map(|previous| json::without_room_id(&previous)),
            redaction: None,
            json,
        }
    }

    pub(crate) fn is_state(&self) -> bool {
        self.state_key.is_some()
    }

    pub(crate) fn is_redaction(&self) -> bool {
        &*self.event_type == "m.room.redaction"
    }

    /// Is it the event that says what `user_id` is in the room?
    pub(crate) fn is_membership_of(&self, user_id: &str) -> bool {
        self.membership.is_some() && self.state_key.as_deref() == Some(user_id)
    }

    /// The transaction id, if that device sent it.
    pub(crate) fn transaction_id_for(&self, user_id: &str, device_id: &str) -> Option<&str> {
        let (device, txn_id) = self.sent_by.as_deref()?;
        (*self.sender == *user_id && device == device_id)
            .then(|| matrixon_rooms::events::client_txn_id(&self.event_type, txn_id))
    }

    /// The membership that this event of [`MEMBER`] replaced.
    pub(crate) fn previous_membership(&self) -> Option<Membership> {
        let content = json::find(self.previous.as_ref()?, "content")?;
        json::find_text(content, "membership").map(Membership::parse)
    }

    /// The state event that this one replaced, as far as clients can tell.
    pub(crate) fn previous_event(&self) -> Option<Self> {
        let json = self.previous.clone()?;
        let membership = self.membership.and(self.previous_membership());
        Some(Self {
            position: 0,
            event_id: json::find_text(&json, "event_id").unwrap_or_default().into(),
            sender: json::find_text(&json, "sender").unwrap_or_default().into(),
            origin_server_ts: timestamp(&json),
            membership,
            visibility: None,
            sent_by: None,
            previous: None,
            redaction: None,
            json,
            room: self.room,
            room_id: self.room_id.clone(),
            event_type: self.event_type.clone(),
            state_key: self.state_key.clone(),
        })
    }

    /// What it costs to keep, roughly.
    pub(crate) fn bytes(&self) -> usize {
        400 + self.json.len() + self.previous.as_ref().map_or(0, Bytes::len)
    }
}

fn timestamp(json: &[u8]) -> i64 {
    json::find(json, "origin_server_ts")
        .and_then(|value| std::str::from_utf8(value).ok()?.parse().ok())
        .unwrap_or_default()
}

/// The value of an event of [`VISIBILITY`].
pub(crate) fn visibility_of(json: &[u8]) -> HistoryVisibility {
    let content = json::find(json, "content").unwrap_or_default();
    HistoryVisibility::parse(json::find_text(content, "history_visibility"))
}
