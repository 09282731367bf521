//! Who began or ceased to be in which room, apart from all other events: what device lists are told by.

use std::sync::Arc;

use matrixon_rooms::Membership;

use super::{event::Event, tail::Positioned};

/// The event that makes a room encrypted.
pub(crate) const ENCRYPTION: &str = "m.room.encryption";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) position: i64,
    pub(crate) room_id: Arc<str>,
    pub(crate) what: Change,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Joined(Arc<str>),
    Left(Arc<str>),
    /// The room was not encrypted before.
    Encrypted,
}

impl Move {
    /// None: the event says nothing of the kind, such as a new display name.
    pub(crate) fn of(event: &Event) -> Option<Self> {
        let what = if let (Some(membership), Some(user_id)) = (event.membership, &event.state_key) {
            let was_in = event.previous_membership() == Some(Membership::Join);
            match (was_in, membership == Membership::Join) {
                (false, true) => Change::Joined(user_id.clone()),
                (true, false) => Change::Left(user_id.clone()),
                _ => return None,
            }
        } else if &*event.event_type == ENCRYPTION && event.state_key.as_deref() == Some("") {
            if event.previous.is_some() {
                return None;
            }
            Change::Encrypted
        } else {
            return None;
        };
        Some(Self { position: event.position, room_id: event.room_id.clone(), what })
    }
}

impl Positioned for Move {
    fn position(&self) -> i64 {
        self.position
    }

    fn bytes(&self) -> usize {
        120
    }
}

#[cfg(test)]
mod tests {
    use matrixon_proto::bus::v1::EventItem;
    use serde_json::json;

    use super::{Change, Event, Move};

    fn move_of(event_type: &str, key: &str, membership: &str, previous: Option<&str>) -> Option<Change> {
        let previous = previous.map(|word| json!({"content": {"membership": word}}).to_string().into());
        let event = Event::from_item(EventItem {
            position: 7,
            room_id: "!r".into(),
            event_type: event_type.into(),
            state_key: Some(key.into()),
            membership: membership.into(),
            json: "{}".into(),
            prev_json: previous,
            ..EventItem::default()
        });
        Move::of(&event).map(|found| found.what)
    }

    #[test]
    fn only_what_begins_or_ends() {
        let member = |membership, previous| move_of("m.room.member", "@a:b", membership, previous);
        let joined = Some(Change::Joined("@a:b".into()));
        let left = Some(Change::Left("@a:b".into()));
        assert_eq!(member("join", None), joined);
        assert_eq!(member("join", Some("invite")), joined);
        assert_eq!(member("join", Some("join")), None, "a display name");
        assert_eq!(member("leave", Some("join")), left);
        assert_eq!(member("ban", Some("join")), left);
        assert_eq!(member("leave", Some("invite")), None);
        assert_eq!(move_of("m.room.encryption", "", "", None), Some(Change::Encrypted));
        assert_eq!(move_of("m.room.encryption", "", "", Some("")), None, "already was");
        assert_eq!(move_of("m.room.encryption", "x", "", None), None);
        assert_eq!(move_of("m.room.name", "", "", None), None);
    }
}
