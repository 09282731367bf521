//! What may go into an event: canonical JSON (<https://spec.matrix.org/v1.19/appendices/#canonical-json>) and the size limits.

use ruma::{CanonicalJsonObject, CanonicalJsonValue};

/// The whole event with signatures, in canonical JSON.
pub const MAX_EVENT_BYTES: usize = 65_535;
/// `type`, `state_key`, `sender`, `room_id`, `event_id`.
pub const MAX_NAME_BYTES: usize = 255;
/// Deeper content is refused: readers recurse.
pub const MAX_DEPTH: usize = 100;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    #[error("the content is not canonical JSON: {0}")]
    NotCanonical(String),
    #[error("the content must be a JSON object")]
    NotAnObject,
    #[error("the content is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    #[error("`{field}` is longer than {MAX_NAME_BYTES} bytes")]
    NameTooLong { field: &'static str },
    #[error("`{field}` must not contain NUL characters")]
    Nul { field: &'static str },
    #[error("`type` must not be empty")]
    EmptyType,
}

/// Reads event content. Floats, integers beyond ±(2^53 − 1) and `-0` are not canonical.
pub fn parse_content(json: &[u8]) -> Result<CanonicalJsonObject, ContentError> {
    let value: serde_json::Value =
        serde_json::from_slice(json).map_err(|error| ContentError::NotCanonical(error.to_string()))?;
    content_from_value(value)
}

/// [`parse_content`] for JSON that is already parsed.
pub fn content_from_value(value: serde_json::Value) -> Result<CanonicalJsonObject, ContentError> {
    if depth(&value, 0) > MAX_DEPTH {
        return Err(ContentError::TooDeep);
    }
    match CanonicalJsonValue::try_from(value) {
        Ok(CanonicalJsonValue::Object(object)) => Ok(object),
        Ok(_) => Err(ContentError::NotAnObject),
        Err(error) => Err(ContentError::NotCanonical(error.to_string())),
    }
}

fn depth(value: &serde_json::Value, above: usize) -> usize {
    if above > MAX_DEPTH {
        return above;
    }
    match value {
        serde_json::Value::Array(items) => items.iter().map(|item| depth(item, above + 1)).max().unwrap_or(above + 1),
        serde_json::Value::Object(members) => {
            members.values().map(|member| depth(member, above + 1)).max().unwrap_or(above + 1)
        }
        _ => above,
    }
}

/// Limits of `type` and `state_key`.
pub fn check_names(event_type: &str, state_key: Option<&str>) -> Result<(), ContentError> {
    if event_type.is_empty() {
        return Err(ContentError::EmptyType);
    }
    check_name("type", event_type)?;
    state_key.map_or(Ok(()), |state_key| check_name("state_key", state_key))
}

fn check_name(field: &'static str, name: &str) -> Result<(), ContentError> {
    if name.len() > MAX_NAME_BYTES {
        return Err(ContentError::NameTooLong { field });
    }
    if name.contains('\0') {
        return Err(ContentError::Nul { field });
    }
    Ok(())
}
