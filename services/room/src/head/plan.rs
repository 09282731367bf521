//! Computing the next event of a room on its head. Pure: what it reads was loaded before.

use std::sync::Arc;

use matrixon_matrix::{Built, EventContext, NewEvent, Pdu, Signer, auth};
use matrixon_rooms::HistoryVisibility;
use ruma::{OwnedEventId, events::StateEventType};

use super::{Head, MAX_EXTREMITIES, StateKey};
use crate::{
    error::RoomError,
    store::append::{EventWrite, Redaction},
};

/// An event that the rules allow, not yet part of the head.
pub(crate) struct Planned {
    pub(crate) built: Built,
    /// The head's history visibility for it.
    pub(crate) visibility: HistoryVisibility,
}

/// Builds and checks an event. The entries of the state that [`auth::auth_keys`] names must be loaded.
pub(crate) fn plan(head: &mut Head, event: &NewEvent, signer: &Signer, now_ms: i64) -> Result<Planned, RoomError> {
    let by_type = auth::is_judged_by_type(&event.event_type, event.state_key.as_deref());
    if by_type
        && let Some(sender) = head.senders.get(&event.sender)
        && sender.allowed_types.contains(&event.event_type)
    {
        let built = build_event(head, event.clone(), sender.auth_events.clone(), signer, now_ms)?;
        return Ok(Planned { visibility: head.history_visibility(), built });
    }
    let keys = auth::auth_keys(head.version, event)?;
    let auth_events: Vec<Arc<Pdu>> = keys.iter().filter_map(|(kind, key)| head.state(kind, key).cloned()).collect();
    let ids: Vec<OwnedEventId> = auth_events.iter().map(|event| event.event_id.clone()).collect();
    let built = build_event(head, event.clone(), ids.clone(), signer, now_ms)?;
    auth::check(head.version, &built.pdu, &auth_events, head)?;
    if by_type {
        let sender = head.senders.entry(event.sender.clone()).or_default();
        sender.auth_events = ids;
        if sender.allowed_types.len() < 64 {
            sender.allowed_types.insert(event.event_type.clone());
        }
    }
    let visibility = visibility_of(head, &built);
    Ok(Planned { built, visibility })
}

pub(crate) fn build_event(
    head: &Head,
    event: NewEvent,
    auth_events: Vec<OwnedEventId>,
    signer: &Signer,
    now_ms: i64,
) -> Result<Built, RoomError> {
    let newest = head.extremities.len().saturating_sub(MAX_EXTREMITIES);
    Ok(signer.build(
        event,
        EventContext {
            version: head.version,
            room_id: Some(&head.room_id),
            prev_events: &head.extremities[newest..],
            auth_events,
            depth: head.depth + 1,
            origin_server_ts: now_ms,
        },
    )?)
}

/// A change of the visibility is seen by those who could see either side of it.
fn visibility_of(head: &Head, built: &Built) -> HistoryVisibility {
    let before = head.history_visibility();
    if built.pdu.event_type.to_string() != "m.room.history_visibility" || built.pdu.state_key.as_deref() != Some("") {
        return before;
    }
    let after = HistoryVisibility::parse(built.pdu.content_str("history_visibility").as_deref());
    let openness = |visibility| match visibility {
        HistoryVisibility::Joined => 0,
        HistoryVisibility::Invited => 1,
        HistoryVisibility::Shared => 2,
        HistoryVisibility::WorldReadable => 3,
    };
    if openness(after) > openness(before) { after } else { before }
}

/// The row of a planned event.
pub(crate) fn to_write(planned: Planned, redaction: Option<Redaction>) -> EventWrite {
    let Planned { built, visibility } = planned;
    let pdu = built.pdu;
    let event_type = pdu.event_type.to_string();
    let membership =
        (event_type == "m.room.member" && pdu.state_key.is_some()).then(|| pdu.content_str("membership")).flatten();
    EventWrite {
        event_id: pdu.event_id.to_string(),
        membership,
        event_type,
        state_key: pdu.state_key,
        sender: pdu.sender.to_string(),
        depth: pdu.depth,
        origin_server_ts: i64::from(pdu.origin_server_ts.get()),
        json: built.json,
        hidden_json: built.hidden_json,
        history_visibility: visibility.to_column(),
        redaction,
    }
}

/// The entries of the state that an event's verdict depends on.
pub(crate) fn needed_state(head: &Head, event: &NewEvent) -> Result<Vec<StateKey>, RoomError> {
    let mut keys = auth::auth_keys(head.version, event)?;
    if let Some(state_key) = &event.state_key {
        keys.push((StateEventType::from(event.event_type.as_str()), state_key.clone()));
    }
    Ok(keys)
}
