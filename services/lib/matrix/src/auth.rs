//! The authorization rules (<https://spec.matrix.org/v1.19/rooms/v12/#authorization-rules>), as ruma implements them.

use std::sync::Arc;

use ruma::{
    events::{StateEventType, TimelineEventType},
    state_res::{auth_types_for_event, check_state_dependent_auth_rules, check_state_independent_auth_rules},
};
use serde_json::value::RawValue;

use crate::{
    build::NewEvent,
    pdu::{Pdu, by_id},
    version::RoomVersion,
};

/// The rules do not allow the event.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Rejection(pub String);

/// State that an event is checked against. Everything named by [`auth_keys`] must be loaded before.
pub trait StateLookup {
    fn find(&self, event_type: &StateEventType, state_key: &str) -> Option<Arc<Pdu>>;
}

impl<F: Fn(&StateEventType, &str) -> Option<Arc<Pdu>>> StateLookup for F {
    fn find(&self, event_type: &StateEventType, state_key: &str) -> Option<Arc<Pdu>> {
        self(event_type, state_key)
    }
}

/// The (type, state key) of the state events that authorize an event. Beyond them [`check`] reads `m.room.create` and `m.room.join_rules`.
pub fn auth_keys(version: RoomVersion, event: &NewEvent) -> Result<Vec<(StateEventType, String)>, Rejection> {
    let event_type = TimelineEventType::from(event.event_type.as_str());
    // only memberships name further events in their content
    let json = if event_type == TimelineEventType::RoomMember {
        serde_json::to_string(&event.content).map_err(|error| Rejection(error.to_string()))?
    } else {
        "{}".to_owned()
    };
    let content = RawValue::from_string(json).map_err(|error| Rejection(error.to_string()))?;
    auth_types_for_event(&event_type, &event.sender, event.state_key.as_deref(), &content, &version.rules.authorization)
        .map_err(Rejection)
}

/// Checks a PDU of ours against the room's state, from which its auth events were chosen too.
pub fn check(
    version: RoomVersion,
    pdu: &Pdu,
    auth_events: &[Arc<Pdu>],
    state: &impl StateLookup,
) -> Result<(), Rejection> {
    let rules = &version.rules.authorization;
    let create = state.find(&StateEventType::RoomCreate, "");
    check_state_independent_auth_rules(rules, pdu, |id| {
        by_id(auth_events, id).or_else(|| create.as_ref().filter(|create| create.event_id == id)).cloned()
    })
    .map_err(Rejection)?;
    check_state_dependent_auth_rules(rules, pdu, |event_type, state_key| state.find(event_type, state_key))
        .map_err(Rejection)
}

/// Does the verdict on an event with these properties depend on its sender and type alone (given the state)? Then it may be cached.
/// Memberships, power levels and all else with a state key are judged by their content or key too.
pub fn is_judged_by_type(event_type: &str, state_key: Option<&str>) -> bool {
    state_key.is_none() && event_type != "m.room.create" && event_type != "m.room.redaction"
}
