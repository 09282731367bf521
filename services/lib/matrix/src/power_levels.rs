//! `m.room.power_levels`: the content of new rooms, checks of what clients send, and who may do what.

use std::{collections::HashSet, sync::Arc};

use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, Int, OwnedUserId, UserId,
    events::{TimelineEventType, room::power_levels::UserPowerLevel},
    state_res::events::{RoomCreateEvent, RoomPowerLevelsEvent, RoomPowerLevelsIntField},
};

use crate::{pdu::Pdu, version::RoomVersion};

const INT_FIELDS: [&str; 8] =
    ["ban", "events_default", "invite", "kick", "redact", "state_default", "users_default", "historical"];
const MAP_FIELDS: [&str; 3] = ["events", "notifications", "users"];

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PowerLevelsError {
    #[error("`{0}` of m.room.power_levels must be an integer")]
    NotAnInteger(String),
    #[error("`{0}` of m.room.power_levels must be an object of integers")]
    NotAMap(&'static str),
    #[error("`{0}` in `users` of m.room.power_levels is not a user id")]
    NotAUser(String),
}

/// Refuses content of wrong types, which the authorization rules would refuse with a less helpful answer.
pub fn check_content(content: &CanonicalJsonObject) -> Result<(), PowerLevelsError> {
    for field in INT_FIELDS {
        if content.get(field).is_some_and(|value| !value.is_integer()) {
            return Err(PowerLevelsError::NotAnInteger(field.to_owned()));
        }
    }
    for field in MAP_FIELDS {
        let Some(value) = content.get(field) else { continue };
        let map = value.as_object().ok_or(PowerLevelsError::NotAMap(field))?;
        for (key, level) in map {
            if !level.is_integer() {
                return Err(PowerLevelsError::NotAnInteger(format!("{field}.{key}")));
            }
            if field == "users" && UserId::parse(key.as_str()).is_err() {
                return Err(PowerLevelsError::NotAUser(key.clone()));
            }
        }
    }
    Ok(())
}

fn int(value: i64) -> CanonicalJsonValue {
    CanonicalJsonValue::Integer(Int::new_saturating(value))
}

fn map<'a>(levels: impl IntoIterator<Item = (&'a str, i64)>) -> CanonicalJsonValue {
    CanonicalJsonValue::Object(levels.into_iter().map(|(key, level)| (key.to_owned(), int(level))).collect())
}

/// The power levels of a new room. `users`: those at 100 besides privileged creators. `invite`: the level that inviting needs.
pub fn initial_content(version: RoomVersion, users: &[OwnedUserId], invite: i64) -> CanonicalJsonObject {
    // where creators stand above all levels, closing the room for good is theirs alone
    let tombstone = if version.privileges_creators() { 150 } else { 100 };
    let events = [
        ("m.room.avatar", 50),
        ("m.room.canonical_alias", 50),
        ("m.room.encryption", 100),
        ("m.room.history_visibility", 100),
        ("m.room.name", 50),
        ("m.room.power_levels", 100),
        ("m.room.server_acl", 100),
        ("m.room.tombstone", tombstone),
    ];
    let mut content = CanonicalJsonObject::new();
    content.insert("ban".to_owned(), int(50));
    content.insert("events".to_owned(), map(events));
    content.insert("events_default".to_owned(), int(0));
    content.insert("historical".to_owned(), int(100));
    content.insert("invite".to_owned(), int(invite));
    content.insert("kick".to_owned(), int(50));
    content.insert("redact".to_owned(), int(50));
    content.insert("state_default".to_owned(), int(50));
    content.insert("users".to_owned(), map(users.iter().map(|user| (user.as_str(), 100))));
    content.insert("users_default".to_owned(), int(0));
    content
}

/// The power that counts in a room: its power levels event, and its creators.
pub struct PowerLevels {
    version: RoomVersion,
    creators: HashSet<OwnedUserId>,
    event: Option<RoomPowerLevelsEvent<Arc<Pdu>>>,
}

impl PowerLevels {
    pub fn new(version: RoomVersion, create: &Arc<Pdu>, power_levels: Option<&Arc<Pdu>>) -> Self {
        let creators = RoomCreateEvent::new(Arc::clone(create)).creators(&version.rules.authorization);
        Self {
            version,
            creators: creators.unwrap_or_default().into_iter().collect(),
            event: power_levels.map(|event| RoomPowerLevelsEvent::new(Arc::clone(event))),
        }
    }

    fn power(&self, user: &UserId) -> Result<UserPowerLevel, String> {
        let rules = &self.version.rules.authorization;
        let is_creator = self.creators.contains(user);
        match &self.event {
            _ if is_creator && rules.explicitly_privilege_room_creators => Ok(UserPowerLevel::Infinite),
            Some(event) => event.user_power_level(user, rules).map(UserPowerLevel::Int),
            None if is_creator => Ok(UserPowerLevel::Int(Int::from(100))),
            None => Ok(UserPowerLevel::Int(Int::from(0))),
        }
    }

    fn reaches(&self, user: &UserId, level: Result<Int, String>) -> bool {
        matches!((self.power(user), level), (Ok(power), Ok(level)) if power >= UserPowerLevel::Int(level))
    }

    fn level(&self, field: RoomPowerLevelsIntField) -> Result<Int, String> {
        match &self.event {
            Some(event) => event.get_as_int_or_default(field, &self.version.rules.authorization),
            None => Ok(field.default_value()),
        }
    }

    /// May redact events of others.
    pub fn can_redact_others(&self, user: &UserId) -> bool {
        self.reaches(user, self.level(RoomPowerLevelsIntField::Redact))
    }

    pub fn can_invite(&self, user: &UserId) -> bool {
        self.reaches(user, self.level(RoomPowerLevelsIntField::Invite))
    }

    /// May send state events of a type.
    pub fn can_send_state(&self, user: &UserId, event_type: &str) -> bool {
        let needed = match &self.event {
            Some(event) => {
                let event_type = TimelineEventType::from(event_type);
                event.event_power_level(&event_type, Some(""), &self.version.rules.authorization)
            }
            // without a power levels event nothing needs power
            None => Ok(Int::from(0)),
        };
        self.reaches(user, needed)
    }
}
