//! Guests are where `m.room.guest_access` says `can_join`, and nowhere else.
//! <https://spec.matrix.org/v1.19/client-server-api/#guest-access>

use matrixon_accounts::standing;
use matrixon_matrix::NewEvent;
use matrixon_rooms::{Membership, members};
use ruma::{OwnedUserId, RoomId, UserId, events::StateEventType};

use super::departure::depart;
use crate::{error::RoomError, head::Head, service::Room};

/// `M_GUEST_ACCESS_FORBIDDEN` ← the room does not let guests in
pub(crate) async fn check_may_join(room: &Room, room_id: &RoomId) -> Result<(), RoomError> {
    let mut head = Head::load(&room.db, room_id).await?;
    head.require(&room.db, &[(StateEventType::RoomGuestAccess, String::new())]).await?;
    let access = head.state(&StateEventType::RoomGuestAccess, "");
    let access = access.and_then(|event| event.content_str("guest_access"));
    if access.as_deref() == Some("can_join") { Ok(()) } else { Err(RoomError::NoGuests) }
}

/// A state event that lets no guests in (any more).
pub(crate) fn shuts_guests_out(event: &NewEvent) -> bool {
    event.event_type == "m.room.guest_access"
        && event.state_key.as_deref() == Some("")
        && event.content.get("guest_access").and_then(|access| access.as_str()) != Some("can_join")
}

/// Makes the guests leave. Whoever shut them out waits for it, so that a process that dies meanwhile leaves the request
/// to be repeated, and the rest of the guests to be found again.
pub(crate) async fn send_away(room: &Room, room_id: &RoomId) -> Result<(), RoomError> {
    let head = Head::load(&room.db, room_id).await?;
    let joined = members::list_in_room(&room.db, head.room, Membership::Join).await?;
    let joined: Vec<&UserId> = joined
        .iter()
        .filter_map(|member| <&UserId>::try_from(member.user_id.as_str()).ok())
        .filter(|user_id| room.is_local(user_id.server_name()))
        .collect();
    let names: Vec<&str> = joined.iter().map(|user_id| user_id.as_str()).collect();
    for guest in standing::find_guests(&room.db, &names).await? {
        if let Ok(guest) = OwnedUserId::try_from(guest) {
            depart(room, room_id, &guest).await?;
        }
    }
    Ok(())
}
