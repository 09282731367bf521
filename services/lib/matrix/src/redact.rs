//! Redaction of a stored event (<https://spec.matrix.org/v1.19/client-server-api/#redactions>).

use ruma::{CanonicalJsonObject, CanonicalJsonValue, canonical_json::redact_in_place};

use crate::version::RoomVersion;

#[derive(Debug, thiserror::Error)]
pub enum RedactError {
    #[error("the stored event is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the stored event is not an event: {0}")]
    Event(String),
}

/// The client form of an event after its redaction. Members that only the PDU has keep their place in the other column.
pub fn redact_client_json(version: RoomVersion, json: &str) -> Result<String, RedactError> {
    let mut event: CanonicalJsonObject = serde_json::from_str(json)?;
    // Not a member of the PDU in this room version's redaction algorithm, but of every event that clients get.
    let room_id = event.get("room_id").cloned();
    redact_in_place(&mut event, &version.rules.redaction, None)
        .map_err(|error| RedactError::Event(error.to_string()))?;
    if let Some(room_id) = room_id {
        event.insert("room_id".to_owned(), room_id);
    }
    // The copy at the top level is ours; what the rules keep is in the content.
    if version.redacts_in_content()
        && let Some(CanonicalJsonValue::Object(content)) = event.get("content")
        && let Some(redacts) = content.get("redacts").cloned()
    {
        event.insert("redacts".to_owned(), redacts);
    }
    Ok(serde_json::to_string(&event)?)
}
