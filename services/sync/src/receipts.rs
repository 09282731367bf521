//! What the requester has read.

use std::sync::Arc;

use matrixon_rooms::Membership;

use crate::{
    account_data::{self, FULLY_READ},
    error::SyncError,
    json,
    state::Shared,
    store::{self, receipts::NewReceipt},
};

/// A room that the requester is in.
pub(crate) struct EnteredRoom {
    user_id: Arc<str>,
    room_id: Arc<str>,
    room: i64,
}

/// `M_FORBIDDEN` ← not in the room
pub(crate) async fn enter(shared: &Shared, user_id: &str, room_id: &str) -> Result<EnteredRoom, SyncError> {
    let user_id: Arc<str> = user_id.into();
    let _present = shared.live.online(&user_id).await?;
    let look = || {
        shared.live.read(|memory| {
            let (room_id, place) = memory.user(&user_id)?.rooms.get_key_value(room_id)?;
            let joined = place.membership == Membership::Join;
            joined.then(|| EnteredRoom { user_id: user_id.clone(), room_id: room_id.clone(), room: place.room })
        })
    };
    if let Some(room) = look() {
        return Ok(room);
    }
    // perhaps joined a moment ago, by way of another replica
    shared.live.refresh().await?;
    look().ok_or(SyncError::Forbidden("you are not in this room"))
}

/// A read receipt; one for an event before the one already read has no effect.
pub(crate) async fn read(
    shared: &Shared,
    room: &EnteredRoom,
    receipt_type: &str,
    event_id: &str,
    thread_id: &str,
) -> Result<(), SyncError> {
    let event = position_of(shared, room, event_id).await?;
    let receipt = NewReceipt {
        room: room.room,
        room_id: room.room_id.clone(),
        receipt_type: receipt_type.to_owned(),
        user_id: room.user_id.to_string(),
        thread_id: thread_id.to_owned(),
        event_id: event_id.to_owned(),
        event,
        ts_ms: shared.clock.now_ms(),
    };
    shared.receipts.append(receipt).await?;
    Ok(())
}

/// The marker "read up to here"; it never moves back.
pub(crate) async fn fully_read(shared: &Shared, room: &EnteredRoom, event_id: &str) -> Result<(), SyncError> {
    let event = position_of(shared, room, event_id).await?;
    let known = store::account_data::find(&shared.db, &room.user_id, &room.room_id, FULLY_READ).await?;
    if let Some(known_id) = known.as_deref().and_then(|content| json::find_text(content.as_bytes(), "event_id"))
        && store::receipts::find_event(&shared.db, room.room, known_id).await?.is_some_and(|known| known >= event)
    {
        return Ok(());
    }
    let content = serde_json::json!({ "event_id": event_id }).to_string();
    account_data::append(shared, &room.user_id, &room.room_id, FULLY_READ, content.into()).await
}

/// `M_NOT_FOUND` ← no such event in the room
async fn position_of(shared: &Shared, room: &EnteredRoom, event_id: &str) -> Result<i64, SyncError> {
    let known = shared.live.read(|memory| {
        let mut events = memory.room(&room.room_id)?.events.iter().rev();
        events.find(|event| *event.event_id == *event_id).map(|event| event.position)
    });
    if let Some(position) = known {
        return Ok(position);
    }
    let found = store::receipts::find_event(&shared.db, room.room, event_id).await?;
    found.ok_or(SyncError::NotFound("there is no such event in this room"))
}
