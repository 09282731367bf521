//! A PDU in the form that the authorization rules read.

use ruma::{
    CanonicalJsonObject, EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId,
    events::TimelineEventType, state_res::Event,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::version::RoomVersion;

#[derive(Debug, thiserror::Error)]
#[error("not a PDU: {0}")]
pub struct PduError(#[from] serde_json::Error);

#[derive(Clone, Debug)]
pub struct Pdu {
    pub event_id: OwnedEventId,
    /// None: the create event of a room whose id is that event's hash.
    pub room_id: Option<OwnedRoomId>,
    pub sender: OwnedUserId,
    pub origin_server_ts: MilliSecondsSinceUnixEpoch,
    pub event_type: TimelineEventType,
    pub state_key: Option<String>,
    pub content: Box<RawValue>,
    pub prev_events: Vec<OwnedEventId>,
    pub auth_events: Vec<OwnedEventId>,
    pub depth: i64,
    pub redacts: Option<OwnedEventId>,
}

/// The event as clients get it.
#[derive(Deserialize)]
struct ClientEvent {
    event_id: OwnedEventId,
    room_id: OwnedRoomId,
    sender: OwnedUserId,
    origin_server_ts: MilliSecondsSinceUnixEpoch,
    #[serde(rename = "type")]
    event_type: TimelineEventType,
    state_key: Option<String>,
    content: Box<RawValue>,
    redacts: Option<OwnedEventId>,
}

/// The members that clients do not get.
#[derive(Deserialize)]
struct Hidden {
    prev_events: Vec<OwnedEventId>,
    auth_events: Vec<OwnedEventId>,
    depth: i64,
}

impl Pdu {
    /// From the two stored parts of an event. Without `hidden` the PDU has no references: enough for state that others are checked against.
    pub fn from_stored(version: RoomVersion, client_json: &str, hidden: Option<&str>) -> Result<Self, PduError> {
        let event: ClientEvent = serde_json::from_str(client_json)?;
        let hidden = match hidden {
            Some(json) => serde_json::from_str(json)?,
            None => Hidden { prev_events: Vec::new(), auth_events: Vec::new(), depth: 0 },
        };
        let names_room = event.event_type == TimelineEventType::RoomCreate && version.room_id_is_create_hash();
        Ok(Self {
            event_id: event.event_id,
            room_id: (!names_room).then_some(event.room_id),
            sender: event.sender,
            origin_server_ts: event.origin_server_ts,
            event_type: event.event_type,
            state_key: event.state_key,
            content: event.content,
            prev_events: hidden.prev_events,
            auth_events: hidden.auth_events,
            depth: hidden.depth,
            redacts: event.redacts,
        })
    }

    /// A string member of the content.
    pub fn content_str(&self, member: &str) -> Option<String> {
        let content: serde_json::Map<String, serde_json::Value> = serde_json::from_str(self.content.get()).ok()?;
        content.get(member).and_then(|value| value.as_str()).map(str::to_owned)
    }

    /// Rough size in memory.
    pub fn bytes(&self) -> usize {
        300 + self.content.get().len() + 60 * (self.prev_events.len() + self.auth_events.len())
    }
}

impl Event for Pdu {
    type Id = OwnedEventId;

    fn event_id(&self) -> &OwnedEventId {
        &self.event_id
    }

    fn room_id(&self) -> Option<&RoomId> {
        self.room_id.as_deref()
    }

    fn sender(&self) -> &UserId {
        &self.sender
    }

    fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        self.origin_server_ts
    }

    fn event_type(&self) -> &TimelineEventType {
        &self.event_type
    }

    fn content(&self) -> &RawValue {
        &self.content
    }

    fn state_key(&self) -> Option<&str> {
        self.state_key.as_deref()
    }

    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.prev_events.iter())
    }

    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.auth_events.iter())
    }

    fn redacts(&self) -> Option<&OwnedEventId> {
        self.redacts.as_ref()
    }

    fn rejected(&self) -> bool {
        false // rejected events are never loaded as state
    }
}

/// The PDU as other servers get it, from the two stored parts of an event.
pub fn reconstruct(
    version: RoomVersion,
    client_json: &str,
    hidden_json: &str,
) -> Result<CanonicalJsonObject, PduError> {
    let mut pdu: CanonicalJsonObject = serde_json::from_str(client_json)?;
    let hidden: CanonicalJsonObject = serde_json::from_str(hidden_json)?;
    let event_type = pdu.get("type").and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    pdu.remove("event_id");
    if event_type == "m.room.create" && version.room_id_is_create_hash() {
        pdu.remove("room_id");
    }
    // clients of these versions get a copy that is not a member of the PDU
    if event_type == "m.room.redaction" && version.redacts_in_content() {
        pdu.remove("redacts");
    }
    pdu.extend(hidden);
    Ok(pdu)
}

/// Finds an event among a few by its id.
pub(crate) fn by_id<'a>(events: &'a [std::sync::Arc<Pdu>], id: &EventId) -> Option<&'a std::sync::Arc<Pdu>> {
    events.iter().find(|event| event.event_id == id)
}
