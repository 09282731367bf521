//! A room in memory: every event gets the right previous and auth events, and is checked before it counts.

use std::{collections::HashMap, sync::Arc};

use matrixon_matrix::{
    BuildError, Built, EventContext, NewEvent, Pdu, Rejection, RoomVersion, Signer, auth, canonical, keys, power_levels,
};
use ruma::{CanonicalJsonObject, OwnedEventId, OwnedUserId, RoomId, UserId, events::StateEventType};
use serde_json::{Value, json};

pub(crate) fn content(value: Value) -> CanonicalJsonObject {
    canonical::content_from_value(value).expect("canonical content")
}

pub(crate) fn user(name: &str) -> OwnedUserId {
    UserId::parse(format!("@{name}:example.org")).expect("a user id")
}

pub(crate) fn signer() -> Signer {
    let key = keys::parse_signing_key(&keys::format_signing_key(&[1; 32])).expect("a key");
    Signer { server_name: "example.org".try_into().expect("a name"), key: Arc::new(key) }
}

#[derive(Debug)]
pub(crate) enum Refused {
    Rules(Rejection),
    Build(BuildError),
}

pub(crate) struct Timeline {
    pub(crate) version: RoomVersion,
    pub(crate) signer: Signer,
    pub(crate) room_id: ruma::OwnedRoomId,
    pub(crate) events: Vec<Built>,
    state: HashMap<(StateEventType, String), Arc<Pdu>>,
}

impl Timeline {
    /// Alice's room, with power levels and join rules.
    pub(crate) fn new(version: &str, join_rule: &str) -> Self {
        Self::with_creators(version, join_rule, &[])
    }

    pub(crate) fn with_creators(version: &str, join_rule: &str, others: &[&str]) -> Self {
        let version = RoomVersion::find(version).expect("a version");
        let mut create = json!({ "room_version": version.as_str() });
        if !version.rules.authorization.use_room_create_sender {
            create["creator"] = user("alice").as_str().into();
        }
        if !others.is_empty() {
            create["additional_creators"] = others.iter().map(|name| user(name).to_string()).collect();
        }
        let room_id =
            (!version.room_id_is_create_hash()).then(|| RoomId::parse("!room:example.org").expect("a room id"));
        let signer = signer();
        let context = EventContext {
            version,
            room_id: room_id.as_deref(),
            prev_events: &[],
            auth_events: Vec::new(),
            depth: 1,
            origin_server_ts: 1_000,
        };
        let event = NewEvent::state(user("alice"), "m.room.create", "", content(create));
        let built = signer.build(event, context).expect("a create event");
        let mut room =
            Self { version, signer, room_id: built.room_id.clone(), events: Vec::new(), state: HashMap::new() };
        room.check(&built, &[]).expect("an allowed create event");
        room.accept(built);
        room.member("alice", "alice", "join").expect("the creator joins");
        let powerful = if version.privileges_creators() { vec![] } else { vec![user("alice")] };
        let levels = power_levels::initial_content(version, &powerful, 50);
        room.send(NewEvent::state(user("alice"), "m.room.power_levels", "", levels)).expect("power levels");
        room.state("alice", "m.room.join_rules", json!({ "join_rule": join_rule })).expect("join rules");
        room
    }

    fn check(&self, built: &Built, auth_events: &[Arc<Pdu>]) -> Result<(), Rejection> {
        let find = |kind: &StateEventType, key: &str| self.state.get(&(kind.clone(), key.to_owned())).cloned();
        auth::check(self.version, &built.pdu, auth_events, &find)
    }

    fn accept(&mut self, built: Built) {
        if let Some(key) = &built.pdu.state_key {
            let kind = StateEventType::from(built.pdu.event_type.to_string());
            self.state.insert((kind, key.clone()), Arc::new(built.pdu.clone()));
        }
        self.events.push(built);
    }

    pub(crate) fn send(&mut self, event: NewEvent) -> Result<OwnedEventId, Refused> {
        let keys = auth::auth_keys(self.version, &event).map_err(Refused::Rules)?;
        let auth_events: Vec<_> = keys.iter().filter_map(|key| self.state.get(key).cloned()).collect();
        let previous = vec![self.events.last().expect("a create event").pdu.event_id.clone()];
        let context = EventContext {
            version: self.version,
            room_id: Some(&self.room_id),
            prev_events: &previous,
            auth_events: auth_events.iter().map(|event| event.event_id.clone()).collect(),
            depth: self.events.len() as i64 + 1,
            origin_server_ts: 1_000 + self.events.len() as i64,
        };
        let built = self.signer.build(event, context).map_err(Refused::Build)?;
        self.check(&built, &auth_events).map_err(Refused::Rules)?;
        let event_id = built.pdu.event_id.clone();
        self.accept(built);
        Ok(event_id)
    }

    pub(crate) fn state(&mut self, sender: &str, kind: &str, value: Value) -> Result<OwnedEventId, Refused> {
        self.send(NewEvent::state(user(sender), kind, "", content(value)))
    }

    pub(crate) fn member(&mut self, sender: &str, target: &str, membership: &str) -> Result<OwnedEventId, Refused> {
        let value = json!({ "membership": membership });
        self.send(NewEvent::state(user(sender), "m.room.member", user(target).as_str(), content(value)))
    }

    pub(crate) fn message(&mut self, sender: &str, body: &str) -> Result<OwnedEventId, Refused> {
        self.send(NewEvent::message(user(sender), "m.room.message", content(json!({ "body": body }))))
    }

    pub(crate) fn current(&self, kind: StateEventType) -> Option<&Arc<Pdu>> {
        self.state.get(&(kind, String::new()))
    }
}
