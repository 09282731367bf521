//! Redaction: the event stays, its content goes.

use matrixon_http::Standing;
use matrixon_matrix::{NewEvent, redact};
use matrixon_rooms::{EventRow, events};
use matrixon_store::StoreError;
use ruma::{EventId, OwnedEventId, RoomId, UserId};

use super::{
    append::append,
    draft::{Draft, Precheck},
};
use crate::{
    error::RoomError,
    head::Head,
    power,
    service::Room,
    store::append::{Dedupe, Redaction},
};

/// `M_NOT_FOUND` ← unknown event · `M_FORBIDDEN` ← not one's own event and no power to redact others' · `M_USER_SUSPENDED` ← a
/// suspended account, and not its own event
pub(crate) async fn redact_event(
    room: &Room,
    room_id: &RoomId,
    event: NewEvent,
    dedupe: Dedupe,
    standing: Standing,
) -> Result<OwnedEventId, RoomError> {
    let target_id = event.redacts.clone().ok_or_else(|| RoomError::Internal("a redaction of nothing".to_owned()))?;
    let head = Head::load(&room.db, room_id).await?;
    let target = find_target(room, &head, &target_id).await?;
    if standing.suspended && target.sender != event.sender {
        return Err(RoomError::Suspended);
    }
    let json = redact::redact_client_json(head.version, &target.json)
        .map_err(|error| RoomError::from(StoreError::inconsistent("events", error.to_string())))?;
    let redaction = Redaction { event_id: target.event_id.clone(), json, is_state: target.state_key.is_some() };
    let check = move |head: &Head, event: &NewEvent| check_may_redact(head, &event.sender, &target.sender);
    append(room, room_id, &Draft { event, dedupe, redaction: Some(redaction), precheck: Precheck::Refuse(&check) })
        .await
}

async fn find_target(room: &Room, head: &Head, target: &EventId) -> Result<EventRow, RoomError> {
    let row = events::find_event(&room.db, target.as_str()).await?;
    let row = row.ok_or_else(|| RoomError::NotFound("there is no such event to redact".to_owned()))?;
    if row.room != head.room {
        return Err(RoomError::InvalidParam("the event to redact is not in this room".to_owned()));
    }
    if row.event_type == "m.room.create" {
        return Err(RoomError::Forbidden("a room's create event cannot be redacted".to_owned()));
    }
    Ok(row)
}

/// The rules let everyone send a redaction; whether it may reach the event is decided here.
fn check_may_redact(head: &Head, sender: &UserId, target_sender: &str) -> Result<(), RoomError> {
    if sender == target_sender {
        return Ok(());
    }
    let power = power::levels(head)?;
    if power.can_redact_others(sender) {
        return Ok(());
    }
    Err(RoomError::Forbidden("you do not have permission to redact this event".to_owned()))
}
