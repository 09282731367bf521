//! Forgetting a room that one has left.

use matrixon_rooms::{members, rooms};
use ruma::{RoomId, UserId};

use crate::{error::RoomError, service::Room, store::memberships};

/// `M_UNKNOWN` (400) ← still in the room. Forgetting what one never knew is fine.
pub(crate) async fn forget(room: &Room, room_id: &RoomId, user_id: &UserId) -> Result<(), RoomError> {
    let Some(row) = rooms::find_room(&room.db, room_id.as_str()).await? else { return Ok(()) };
    if memberships::forget(&room.db, row.id, user_id.as_str()).await? {
        return Ok(());
    }
    match members::find(&room.db, row.id, user_id.as_str()).await? {
        None => Ok(()),
        Some(_) => Err(RoomError::StillInRoom),
    }
}
