//! What may stand in a profile.

use ruma::UserId;
use serde_json::{Map, Value};

use crate::error::AuthError;

/// `M_FORBIDDEN` ← not the requester's own profile
pub(crate) fn check_owner(requester: &UserId, user_id: &UserId) -> Result<(), AuthError> {
    if requester == user_id { Ok(()) } else { Err(AuthError::Forbidden("this is the profile of somebody else")) }
}

/// The value of a field of the body; the empty string means none. A field that is missing is a mistake, not a removal.
pub(crate) fn check_field(name: &'static str, body: &[u8], max_chars: usize) -> Result<Option<String>, AuthError> {
    let mut body: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|_| AuthError::InvalidParam("the body must be a JSON object".to_owned()))?;
    match body.remove(name) {
        None => Err(AuthError::MissingParam("the field of the path is missing in the body")),
        Some(Value::String(value)) if value.chars().count() > max_chars => {
            Err(AuthError::InvalidParam(format!("`{name}` has at most {max_chars} characters")))
        }
        Some(Value::String(value)) => Ok(Some(value).filter(|value| !value.is_empty())),
        Some(_) => Err(AuthError::InvalidParam(format!("`{name}` must be a string"))),
    }
}
