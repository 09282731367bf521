//! Who may manage a room's aliases and its place in the directory.

use std::sync::Arc;

use matrixon_matrix::power_levels::PowerLevels;
use ruma::{RoomId, UserId, events::StateEventType};

use crate::{error::RoomError, head::Head, service::Room};

/// The room as it is in SQL now, with a user's membership.
pub(crate) async fn load(room: &Room, room_id: &RoomId, user_id: &UserId) -> Result<Head, RoomError> {
    let mut head = Head::load(&room.db, room_id).await?;
    head.require(&room.db, &[(StateEventType::RoomMember, user_id.to_string())]).await?;
    Ok(head)
}

pub(crate) fn levels(head: &Head) -> Result<PowerLevels, RoomError> {
    let create = head.state(&StateEventType::RoomCreate, "").map(Arc::clone);
    let create = create.ok_or_else(|| RoomError::Internal("a room without a create event".to_owned()))?;
    Ok(PowerLevels::new(head.version, &create, head.state(&StateEventType::RoomPowerLevels, "")))
}

/// The level that stands for managing aliases and the directory entry, as the specification suggests.
pub(crate) fn check_can_set_canonical_alias(head: &Head, user_id: &UserId) -> Result<(), RoomError> {
    if head.membership(user_id) == "join" && levels(head)?.can_send_state(user_id, "m.room.canonical_alias") {
        return Ok(());
    }
    Err(RoomError::Forbidden("you do not have the power to do this in this room".to_owned()))
}
