//! Filters, compiled from ruma's [`FilterDefinition`] to what /sync asks of every event.
//! <https://spec.matrix.org/v1.19/client-server-api/#filtering>
//!
//! `event_fields` and `event_format` are accepted and have no effect: the specification lets a server send more fields
//! than were asked for, and cutting stored bytes would cost a parse of every event.

use std::collections::HashSet;

use ruma::api::client::filter::{EventFormat, Filter, FilterDefinition, LazyLoadOptions, RoomEventFilter, UrlFilter};

use crate::{error::SyncError, json};

/// Timeline events in a room when the filter does not say, as Synapse has it.
const DEFAULT_LIMIT: usize = 10;
/// More than this is cut down to it.
const MAX_LIMIT: usize = 100;

#[derive(Clone, Debug, Default)]
pub(crate) struct SyncFilter {
    rooms: Rooms,
    pub(crate) include_leave: bool,
    pub(crate) timeline: EventFilter,
    pub(crate) state: EventFilter,
    pub(crate) ephemeral: EventFilter,
    pub(crate) room_account_data: EventFilter,
    pub(crate) account_data: EventFilter,
    pub(crate) lazy: LazyMembers,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LazyMembers {
    #[default]
    Off,
    On {
        include_redundant: bool,
    },
}

impl LazyMembers {
    pub(crate) fn is_on(self) -> bool {
        self != Self::Off
    }
}

#[derive(Clone, Debug)]
pub(crate) struct EventFilter {
    pub(crate) limit: usize,
    rooms: Rooms,
    types: Option<Vec<Pattern>>,
    not_types: Vec<Pattern>,
    senders: Option<HashSet<String>>,
    not_senders: HashSet<String>,
    contains_url: Option<bool>,
}

impl Default for EventFilter {
    fn default() -> Self {
        Self {
            limit: DEFAULT_LIMIT,
            rooms: Rooms::default(),
            types: None,
            not_types: Vec::new(),
            senders: None,
            not_senders: HashSet::new(),
            contains_url: None,
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Rooms {
    only: Option<HashSet<String>>,
    not: HashSet<String>,
}

impl Rooms {
    fn admits(&self, room_id: &str) -> bool {
        !self.not.contains(room_id) && self.only.as_ref().is_none_or(|only| only.contains(room_id))
    }
}

impl SyncFilter {
    pub(crate) fn compile(definition: &FilterDefinition) -> Self {
        let room = &definition.room;
        let lazy = match room.state.lazy_load_options {
            LazyLoadOptions::Enabled { include_redundant_members } => {
                LazyMembers::On { include_redundant: include_redundant_members }
            }
            LazyLoadOptions::Disabled => LazyMembers::Off,
        };
        Self {
            rooms: Rooms { only: room.rooms.as_ref().map(|rooms| texts(rooms)), not: texts(&room.not_rooms) },
            include_leave: room.include_leave,
            timeline: EventFilter::of_room(&room.timeline),
            state: EventFilter::of_room(&room.state),
            ephemeral: EventFilter::of_room(&room.ephemeral),
            room_account_data: EventFilter::of_room(&room.account_data),
            account_data: EventFilter::of_user(&definition.account_data),
            lazy,
        }
    }

    /// Events of a room that one timeline holds at most.
    pub(crate) const MOST_EVENTS: usize = MAX_LIMIT;

    /// All of one room, or of every room, with the newest `limit` events (at least one) of each.
    pub(crate) fn for_rooms(room_id: Option<&str>, limit: usize, include_leave: bool) -> Self {
        let only = room_id.map(|room_id| HashSet::from([room_id.to_owned()]));
        let timeline = EventFilter { limit: limit.clamp(1, MAX_LIMIT), ..EventFilter::default() };
        Self { rooms: Rooms { only, not: HashSet::new() }, include_leave, timeline, ..Self::default() }
    }

    pub(crate) fn admits_room(&self, room_id: &str) -> bool {
        self.rooms.admits(room_id)
    }
}

/// `M_BAD_JSON` ← an event format that does not exist
pub(crate) fn check(definition: &FilterDefinition) -> Result<(), SyncError> {
    match &definition.event_format {
        EventFormat::Client | EventFormat::Federation => Ok(()),
        other => Err(SyncError::BadJson(format!("`event_format` cannot be `{}`", other.as_str()))),
    }
}

impl EventFilter {
    fn of_room(filter: &RoomEventFilter) -> Self {
        Self {
            limit: limit(filter.limit),
            rooms: Rooms { only: filter.rooms.as_ref().map(|rooms| texts(rooms)), not: texts(&filter.not_rooms) },
            types: filter.types.as_ref().map(|types| patterns(types)),
            not_types: patterns(&filter.not_types),
            senders: filter.senders.as_ref().map(|senders| texts(senders)),
            not_senders: texts(&filter.not_senders),
            contains_url: filter.url_filter.map(|url| matches!(url, UrlFilter::EventsWithUrl)),
        }
    }

    fn of_user(filter: &Filter) -> Self {
        Self {
            limit: limit(filter.limit),
            types: filter.types.as_ref().map(|types| patterns(types)),
            not_types: patterns(&filter.not_types),
            senders: filter.senders.as_ref().map(|senders| texts(senders)),
            not_senders: texts(&filter.not_senders),
            ..Self::default()
        }
    }

    /// Nothing is filtered out, whatever the event: the cheap way may be taken.
    pub(crate) fn is_open(&self) -> bool {
        self.types.is_none()
            && self.not_types.is_empty()
            && self.senders.is_none()
            && self.not_senders.is_empty()
            && self.contains_url.is_none()
    }

    pub(crate) fn admits_room(&self, room_id: &str) -> bool {
        self.rooms.admits(room_id)
    }

    pub(crate) fn admits_type(&self, event_type: &str) -> bool {
        !self.not_types.iter().any(|pattern| pattern.matches(event_type))
            && self.types.as_ref().is_none_or(|types| types.iter().any(|pattern| pattern.matches(event_type)))
    }

    pub(crate) fn admits(&self, event_type: &str, sender: &str, json: &[u8]) -> bool {
        self.admits_type(event_type)
            && !self.not_senders.contains(sender)
            && self.senders.as_ref().is_none_or(|senders| senders.contains(sender))
            && self.contains_url.is_none_or(|wanted| has_url(json) == wanted)
    }
}

fn has_url(json: &[u8]) -> bool {
    json::find(json, "content")
        .is_some_and(|content| json::find(content, "url").is_some_and(|url| url.starts_with(b"\"")))
}

/// An event type, in which `*` stands for any sequence of characters.
#[derive(Clone, Debug)]
struct Pattern(Vec<String>);

impl Pattern {
    fn matches(&self, text: &str) -> bool {
        let Some((first, rest)) = self.0.split_first() else { return text.is_empty() };
        let Some(mut text) = text.strip_prefix(first.as_str()) else { return false };
        let Some((last, middle)) = rest.split_last() else { return text.is_empty() };
        for part in middle {
            let Some(at) = text.find(part.as_str()) else { return false };
            text = &text[at + part.len()..];
        }
        text.ends_with(last.as_str())
    }
}

fn patterns(texts: &[String]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern(text.split('*').map(str::to_owned).collect())).collect()
}

fn texts<T: ToString>(ids: &[T]) -> HashSet<String> {
    ids.iter().map(ToString::to_string).collect()
}

fn limit(limit: Option<ruma::UInt>) -> usize {
    limit.map_or(DEFAULT_LIMIT, |limit| usize::try_from(u64::from(limit)).unwrap_or(MAX_LIMIT).min(MAX_LIMIT))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::SyncFilter;

    fn compile(filter: Value) -> SyncFilter {
        SyncFilter::compile(&serde_json::from_value(filter).unwrap())
    }

    #[test]
    fn types_with_wildcards() {
        let filter = compile(
            json!({"room": {"timeline": {"types": ["m.room.*", "org.*.x.*y"], "not_types": ["m.room.member"]}}}),
        );
        let admits = |event_type: &str| filter.timeline.admits(event_type, "@a:b", b"{}");
        assert!(admits("m.room.message"));
        assert!(!admits("m.room.member"));
        assert!(!admits("m.reaction"));
        assert!(admits("org.a.x.y"));
        assert!(admits("org.a.b.x.zzy"));
        assert!(!admits("org.a.x.z"));
        assert!(!admits("org.x.y"));
    }

    #[test]
    fn an_empty_list_of_types_admits_nothing_and_an_absent_one_everything() {
        assert!(!compile(json!({"room": {"timeline": {"types": []}}})).timeline.admits("m.x", "@a:b", b"{}"));
        assert!(compile(json!({})).timeline.admits("m.x", "@a:b", b"{}"));
        assert!(compile(json!({"event_fields": ["content.body"]})).timeline.is_open());
    }

    #[test]
    fn senders_urls_rooms_and_limits() {
        let filter = compile(json!({"room": {
            "not_rooms": ["!no:b"],
            "timeline": {"not_senders": ["@no:b"], "contains_url": true, "limit": 100_000},
            "state": {"lazy_load_members": true},
        }}));
        assert!(!filter.admits_room("!no:b") && filter.admits_room("!yes:b"));
        assert!(filter.timeline.admits("m", "@a:b", br#"{"content":{"url":"mxc://a/b"}}"#));
        assert!(!filter.timeline.admits("m", "@no:b", br#"{"content":{"url":"mxc://a/b"}}"#));
        assert!(!filter.timeline.admits("m", "@a:b", br#"{"url":"x","content":{}}"#));
        assert_eq!(filter.timeline.limit, 100);
        assert!(filter.lazy.is_on());
    }
}
