//! Building an event: hashes, signature, event id, and the two JSON texts that are stored.

use std::sync::Arc;

use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, Int, MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId,
    OwnedServerName, OwnedUserId, RoomId, UInt,
    events::TimelineEventType,
    signatures::{Ed25519KeyPair, JsonError, hash_and_sign_event, reference_hash},
};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    canonical::{self, ContentError, MAX_EVENT_BYTES},
    pdu::Pdu,
    version::RoomVersion,
};

/// Members of a PDU that clients do not get.
const HIDDEN: [&str; 5] = ["auth_events", "depth", "hashes", "prev_events", "signatures"];

#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error("the event is larger than {MAX_EVENT_BYTES} bytes")]
    TooLarge,
    #[error("the event cannot be hashed or signed: {0}")]
    Sign(String),
}

/// What somebody wants to say in a room.
#[derive(Clone, Debug)]
pub struct NewEvent {
    pub sender: OwnedUserId,
    pub event_type: String,
    pub state_key: Option<String>,
    pub content: CanonicalJsonObject,
    /// Of `m.room.redaction`; put where the room version wants it.
    pub redacts: Option<OwnedEventId>,
}

impl NewEvent {
    pub fn message(sender: OwnedUserId, event_type: impl Into<String>, content: CanonicalJsonObject) -> Self {
        Self { sender, event_type: event_type.into(), state_key: None, content, redacts: None }
    }

    pub fn state(
        sender: OwnedUserId,
        event_type: impl Into<String>,
        state_key: impl Into<String>,
        content: CanonicalJsonObject,
    ) -> Self {
        Self { sender, event_type: event_type.into(), state_key: Some(state_key.into()), content, redacts: None }
    }

    pub fn redaction(sender: OwnedUserId, redacts: OwnedEventId, reason: Option<String>) -> Self {
        let content = reason.map(|reason| ("reason".to_owned(), CanonicalJsonValue::String(reason))).into_iter();
        Self {
            sender,
            event_type: "m.room.redaction".to_owned(),
            state_key: None,
            content: content.collect(),
            redacts: Some(redacts),
        }
    }
}

/// Where in the room's graph an event goes.
#[derive(Debug)]
pub struct EventContext<'a> {
    pub version: RoomVersion,
    /// None: the create event of a room whose id is that event's hash.
    pub room_id: Option<&'a RoomId>,
    pub prev_events: &'a [OwnedEventId],
    pub auth_events: Vec<OwnedEventId>,
    pub depth: i64,
    pub origin_server_ts: i64,
}

/// A hashed and signed event.
#[derive(Clone, Debug)]
pub struct Built {
    pub pdu: Pdu,
    /// Known even when the PDU itself does not carry it.
    pub room_id: OwnedRoomId,
    /// As clients get it, without `unsigned`.
    pub json: String,
    /// The members of the PDU that clients do not get, as a JSON object.
    pub hidden_json: String,
}

/// The server's name and key.
#[derive(Clone, Debug)]
pub struct Signer {
    pub server_name: OwnedServerName,
    pub key: Arc<Ed25519KeyPair>,
}

impl Signer {
    pub fn build(&self, event: NewEvent, place: EventContext<'_>) -> Result<Built, BuildError> {
        canonical::check_names(&event.event_type, event.state_key.as_deref())?;
        let version = place.version;
        let content = with_redacts(version, &event);
        let content_json = serde_json::to_string(&content).map_err(|error| BuildError::Sign(error.to_string()))?;
        let mut object = pdu_object(&event, &place, content);
        hash_and_sign_event(self.server_name.as_str(), &*self.key, &mut object, &version.rules.redaction)
            .map_err(|error| sign_error(&error))?;
        let hash = reference_hash(&object, version.rules).map_err(|error| sign_error(&error))?;
        let event_id =
            OwnedEventId::try_from(format!("${hash}")).map_err(|error| BuildError::Sign(error.to_string()))?;
        let room_id = match place.room_id {
            Some(room_id) => room_id.to_owned(),
            None => RoomId::new_v2(&hash).map_err(|error| BuildError::Sign(error.to_string()))?,
        };

        let hidden_json = hidden_json(&object)?;
        let json = client_json(&event, &event_id, &room_id, place.origin_server_ts, &content_json)?;
        // What the PDU has in canonical JSON: both texts are one object each, and share no member.
        let event_id_member = r#""event_id":"","#.len() + event_id.as_str().len();
        if json.len() + hidden_json.len() - 1 - event_id_member > MAX_EVENT_BYTES {
            return Err(BuildError::TooLarge);
        }

        let pdu = Pdu {
            event_id,
            room_id: place.room_id.map(RoomId::to_owned),
            sender: event.sender,
            origin_server_ts: MilliSecondsSinceUnixEpoch(UInt::new_saturating(place.origin_server_ts.max(0) as u64)),
            event_type: TimelineEventType::from(event.event_type),
            state_key: event.state_key,
            content: RawValue::from_string(content_json).map_err(|error| BuildError::Sign(error.to_string()))?,
            prev_events: place.prev_events.to_vec(),
            auth_events: place.auth_events,
            depth: place.depth,
            redacts: event.redacts,
        };
        Ok(Built { pdu, room_id, json, hidden_json })
    }
}

fn sign_error(error: &JsonError) -> BuildError {
    match error {
        JsonError::PduTooLarge => BuildError::TooLarge,
        error => BuildError::Sign(error.to_string()),
    }
}

fn with_redacts(version: RoomVersion, event: &NewEvent) -> CanonicalJsonObject {
    let mut content = event.content.clone();
    if let Some(redacts) = &event.redacts
        && version.redacts_in_content()
    {
        content.insert("redacts".to_owned(), redacts.as_str().into());
    }
    content
}

fn ids(ids: &[OwnedEventId]) -> CanonicalJsonValue {
    CanonicalJsonValue::Array(ids.iter().map(|id| id.as_str().into()).collect())
}

fn int(value: i64) -> CanonicalJsonValue {
    CanonicalJsonValue::Integer(Int::new_saturating(value))
}

/// Everything that is hashed and signed.
fn pdu_object(event: &NewEvent, place: &EventContext<'_>, content: CanonicalJsonObject) -> CanonicalJsonObject {
    let mut object = CanonicalJsonObject::new();
    object.insert("auth_events".to_owned(), ids(&place.auth_events));
    object.insert("content".to_owned(), CanonicalJsonValue::Object(content));
    object.insert("depth".to_owned(), int(place.depth));
    object.insert("origin_server_ts".to_owned(), int(place.origin_server_ts));
    object.insert("prev_events".to_owned(), ids(place.prev_events));
    object.insert("sender".to_owned(), event.sender.as_str().into());
    object.insert("type".to_owned(), event.event_type.as_str().into());
    if let Some(room_id) = place.room_id {
        object.insert("room_id".to_owned(), room_id.as_str().into());
    }
    if let Some(state_key) = &event.state_key {
        object.insert("state_key".to_owned(), state_key.as_str().into());
    }
    if let Some(redacts) = &event.redacts
        && !place.version.redacts_in_content()
    {
        object.insert("redacts".to_owned(), redacts.as_str().into());
    }
    object
}

fn hidden_json(object: &CanonicalJsonObject) -> Result<String, BuildError> {
    let mut writer = ObjectWriter::new();
    for name in HIDDEN {
        if let Some(value) = object.get(name) {
            writer.member(name, value)?;
        }
    }
    Ok(writer.finish())
}

/// Clients of every room version get `redacts` at the top level too: some read it nowhere else.
fn client_json(
    event: &NewEvent,
    event_id: &OwnedEventId,
    room_id: &RoomId,
    origin_server_ts: i64,
    content: &str,
) -> Result<String, BuildError> {
    let mut writer = ObjectWriter::new();
    writer.raw("content", content);
    writer.member("event_id", event_id)?;
    writer.member("origin_server_ts", &origin_server_ts)?;
    if let Some(redacts) = &event.redacts {
        writer.member("redacts", redacts)?;
    }
    writer.member("room_id", room_id)?;
    writer.member("sender", &event.sender)?;
    if let Some(state_key) = &event.state_key {
        writer.member("state_key", state_key)?;
    }
    writer.member("type", &event.event_type)?;
    Ok(writer.finish())
}

/// Writes a JSON object member by member, without building a tree first.
struct ObjectWriter(Vec<u8>);

impl ObjectWriter {
    fn new() -> Self {
        Self(Vec::with_capacity(512))
    }

    fn key(&mut self, name: &str) {
        self.0.extend_from_slice(if self.0.is_empty() { b"{\"" } else { b",\"" });
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    fn raw(&mut self, name: &str, json: &str) {
        self.key(name);
        self.0.extend_from_slice(json.as_bytes());
    }

    fn member<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), BuildError> {
        self.key(name);
        serde_json::to_writer(&mut self.0, value).map_err(|error| BuildError::Sign(error.to_string()))
    }

    fn finish(mut self) -> String {
        if self.0.is_empty() {
            self.0.push(b'{');
        }
        self.0.push(b'}');
        String::from_utf8(self.0).expect("serde_json writes UTF-8")
    }
}
