//! Names and values of profile fields.
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3profileuseridkeyname>

use serde_json::{Value, value::RawValue};

use crate::{error::AuthError, store::profiles::Profile};

pub(crate) const DISPLAYNAME: &str = "displayname";
pub(crate) const AVATAR_URL: &str = "avatar_url";
const TIME_ZONE: &str = "m.tz";

/// Bytes of a field's name.
const MAX_KEY_BYTES: usize = 255;
/// Bytes of the whole profile as a JSON object: it must stay *under* 64 KiB.
const MAX_PROFILE_BYTES: usize = 65_535;
const MAX_DISPLAYNAME_CHARS: usize = 256;
const MAX_AVATAR_URL_CHARS: usize = 1_000;
const MAX_TIME_ZONE_BYTES: usize = 255;

/// A value that may be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FieldValue {
    /// Of `displayname` and `avatar_url`; the empty string means none.
    Text(Option<String>),
    /// Any JSON.
    Json(String),
}

/// The Common Namespaced Identifier Grammar: <https://spec.matrix.org/v1.19/appendices/#common-namespaced-identifier-grammar>
///
/// `M_KEY_TOO_LARGE` ← over 255 bytes · `M_INVALID_PARAM` ← against the grammar
pub(crate) fn check_key(key: &str) -> Result<(), AuthError> {
    if key.len() > MAX_KEY_BYTES {
        return Err(AuthError::KeyTooLarge);
    }
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.');
    if !key.starts_with(|first: char| first.is_ascii_lowercase()) || !key.bytes().all(allowed) {
        return Err(AuthError::InvalidParam("this is not the name of a profile field".to_owned()));
    }
    Ok(())
}

/// The value in a body `{"<key>": value}`.
///
/// `M_MISSING_PARAM` ← the body does not have the field · `M_INVALID_PARAM` ← a name that is no string or too long, a time
/// zone that is none
pub(crate) fn parse_body(key: &str, body: &[u8]) -> Result<FieldValue, AuthError> {
    let mut body: std::collections::HashMap<String, Box<RawValue>> = serde_json::from_slice(body)
        .map_err(|_| AuthError::InvalidParam("the body must be a JSON object".to_owned()))?;
    let value = body.remove(key).ok_or(AuthError::MissingParam("the field of the path is missing in the body"))?;
    match key {
        DISPLAYNAME => parse_text(key, &value, MAX_DISPLAYNAME_CHARS),
        AVATAR_URL => parse_text(key, &value, MAX_AVATAR_URL_CHARS),
        TIME_ZONE => parse_time_zone(&value),
        _ => Ok(FieldValue::Json(value.get().to_owned())),
    }
}

fn parse_text(key: &str, value: &RawValue, max_chars: usize) -> Result<FieldValue, AuthError> {
    match serde_json::from_str::<Value>(value.get()) {
        Ok(Value::String(text)) if text.chars().count() > max_chars => {
            Err(AuthError::InvalidParam(format!("`{key}` has at most {max_chars} characters")))
        }
        Ok(Value::String(text)) => Ok(FieldValue::Text(Some(text).filter(|text| !text.is_empty()))),
        _ => Err(AuthError::InvalidParam(format!("`{key}` must be a string; DELETE removes it"))),
    }
}

/// Zones come and go in the IANA database, so only their alphabet is checked.
fn parse_time_zone(value: &RawValue) -> Result<FieldValue, AuthError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-' | b'+');
    match serde_json::from_str::<Value>(value.get()) {
        Ok(Value::String(zone))
            if !zone.is_empty() && zone.len() <= MAX_TIME_ZONE_BYTES && zone.bytes().all(allowed) =>
        {
            Ok(FieldValue::Json(value.get().to_owned()))
        }
        _ => Err(AuthError::InvalidParam("`m.tz` must be the name of a time zone such as `Europe/London`".to_owned())),
    }
}

/// `M_PROFILE_TOO_LARGE` ← 64 KiB or more
pub(crate) fn check_size(profile: &Profile) -> Result<(), AuthError> {
    if write_profile(profile).len() > MAX_PROFILE_BYTES { Err(AuthError::ProfileTooLarge) } else { Ok(()) }
}

/// The profile as a JSON object; values are those that were stored, byte for byte.
pub(crate) fn write_profile(profile: &Profile) -> String {
    let mut out = String::from("{");
    let mut member = |key: &str, json: &str| {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&Value::from(key).to_string());
        out.push(':');
        out.push_str(json);
    };
    for (key, text) in [(AVATAR_URL, &profile.avatar_url), (DISPLAYNAME, &profile.displayname)] {
        if let Some(text) = text {
            member(key, &Value::from(text.as_str()).to_string());
        }
    }
    for (key, json) in &profile.fields {
        member(key, json);
    }
    out.push('}');
    out
}

/// One field as `{"<key>": value}`. None: not set.
pub(crate) fn write_field(profile: &Profile, key: &str) -> Option<String> {
    let json = match key {
        DISPLAYNAME => profile.displayname.as_deref().map(|text| Value::from(text).to_string()),
        AVATAR_URL => profile.avatar_url.as_deref().map(|text| Value::from(text).to_string()),
        _ => profile.fields.iter().find(|(field, _)| field == key).map(|(_, json)| json.clone()),
    };
    json.map(|json| format!("{{{}:{json}}}", Value::from(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_grammar() {
        for key in ["displayname", "avatar_url", "m.tz", "org.example.job_title", "a", "a-b.c_1"] {
            assert!(check_key(key).is_ok(), "{key}");
        }
        for key in ["", "A", "1a", ".a", "_a", "a b", "ä", "a/b", "a\u{202e}b", "org.Example"] {
            assert!(matches!(check_key(key), Err(AuthError::InvalidParam(_))), "{key}");
        }
        assert!(check_key(&"a".repeat(255)).is_ok());
        assert!(matches!(check_key(&"a".repeat(256)), Err(AuthError::KeyTooLarge)));
    }

    #[test]
    fn values_are_checked_where_the_specification_knows_them() {
        let parse = |key: &str, json: &str| parse_body(key, format!("{{\"{key}\":{json}}}").as_bytes());
        assert_eq!(parse(DISPLAYNAME, "\"A\"").unwrap(), FieldValue::Text(Some("A".to_owned())));
        assert_eq!(parse(DISPLAYNAME, "\"\"").unwrap(), FieldValue::Text(None));
        assert_eq!(parse("m.tz", "\"Europe/London\"").unwrap(), FieldValue::Json("\"Europe/London\"".to_owned()));
        for json in ["null", "1", "{\"a\": [1.5, 1e20]}", "\"\\u0000\""] {
            assert_eq!(parse("org.example.any", json).unwrap(), FieldValue::Json(json.to_owned()));
        }
        for (key, json) in [
            (DISPLAYNAME, "null"),
            (AVATAR_URL, "[]"),
            (DISPLAYNAME, &format!("\"{}\"", "x".repeat(257))),
            ("m.tz", "null"),
            ("m.tz", "\"\""),
            ("m.tz", "\"<script>\""),
        ] {
            assert!(matches!(parse(key, json), Err(AuthError::InvalidParam(_))), "{key} {json}");
        }
        assert!(matches!(parse_body("a.b", b"{\"a.c\":1}"), Err(AuthError::MissingParam(_))));
    }

    #[test]
    fn profiles_are_written_as_they_were_stored() {
        let profile = Profile {
            account: 1,
            displayname: Some("\"A\"".to_owned()),
            avatar_url: None,
            fields: vec![("m.tz".to_owned(), "\"UTC\"".to_owned()), ("org.example.x".to_owned(), "null".to_owned())],
        };
        assert_eq!(write_profile(&profile), r#"{"displayname":"\"A\"","m.tz":"UTC","org.example.x":null}"#);
        assert_eq!(write_field(&profile, "org.example.x").unwrap(), r#"{"org.example.x":null}"#);
        assert_eq!(write_field(&profile, AVATAR_URL), None);
        assert_eq!(write_profile(&Profile::default()), "{}");
        let mut large = profile;
        large.fields.push(("org.example.y".to_owned(), format!("\"{}\"", "y".repeat(65_400))));
        let left = MAX_PROFILE_BYTES - write_profile(&large).len();
        large.fields.last_mut().unwrap().1.insert_str(1, &"y".repeat(left));
        assert!(check_size(&large).is_ok());
        large.fields.last_mut().unwrap().1.insert(1, 'y');
        assert!(matches!(check_size(&large), Err(AuthError::ProfileTooLarge)));
    }
}
