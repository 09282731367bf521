//! Room event filters (<https://spec.matrix.org/v1.19/client-server-api/#filtering>).

use matrixon_rooms::EventRow;
use ruma::{
    RoomId,
    api::client::filter::{RoomEventFilter, UrlFilter},
};

/// `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// The filter may name rooms, although the request is about one.
pub(crate) fn admits_room(filter: &RoomEventFilter, room_id: &RoomId) -> bool {
    !filter.not_rooms.iter().any(|not| not == room_id)
        && filter.rooms.as_ref().is_none_or(|rooms| rooms.iter().any(|room| room == room_id))
}

pub(crate) fn passes(filter: &RoomEventFilter, row: &EventRow) -> bool {
    let any = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, &row.event_type));
    if any(&filter.not_types) || filter.types.as_deref().is_some_and(|types| !any(types)) {
        return false;
    }
    if filter.not_senders.iter().any(|sender| *sender == row.sender)
        || filter.senders.as_ref().is_some_and(|senders| !senders.iter().any(|sender| *sender == row.sender))
    {
        return false;
    }
    match &filter.url_filter {
        Some(UrlFilter::EventsWithUrl) => has_url(row),
        Some(UrlFilter::EventsWithoutUrl) => !has_url(row),
        _ => true,
    }
}

fn has_url(row: &EventRow) -> bool {
    #[derive(serde::Deserialize)]
    struct Event {
        content: serde_json::Map<String, serde_json::Value>,
    }
    serde_json::from_str::<Event>(&row.json)
        .is_ok_and(|event| event.content.get("url").is_some_and(serde_json::Value::is_string))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, text, expected) in [
            ("m.room.message", "m.room.message", true),
            ("m.room.message", "m.room.messages", false),
            ("m.*", "m.room.message", true),
            ("*", "", true),
            ("*.message", "m.room.message", true),
            ("m.*.message", "m.room.message", true),
            ("m.*.message", "m.message", false),
            ("a*a", "a", false),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
