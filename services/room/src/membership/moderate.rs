//! Invite, leave, kick, ban, unban.

use matrixon_matrix::NewEvent;
use ruma::{OwnedEventId, OwnedUserId, RoomId, UserId};

use super::change::{Change, Requester, change, content};
use crate::{error::RoomError, head::Head, service::Room, timeline::draft::Precheck};

/// Whom it concerns and why.
pub(crate) struct Target {
    pub(crate) user_id: OwnedUserId,
    pub(crate) reason: Option<String>,
}

fn target_of(event: &NewEvent) -> Result<&UserId, RoomError> {
    let target = event.state_key.as_deref().unwrap_or_default();
    <&UserId>::try_from(target).map_err(|error| RoomError::InvalidParam(error.to_string()))
}

/// `M_FORBIDDEN` ← no power to invite, or the target is in the room or banned · `M_NOT_FOUND` ← a user of another server
pub(crate) async fn invite(
    room: &Room,
    room_id: &RoomId,
    by: Requester<'_>,
    target: Target,
) -> Result<OwnedEventId, RoomError> {
    check_local(room, &target.user_id)?;
    let mut content = content("invite", target.reason);
    room.profiles.load_one(&target.user_id).await.write_to(&mut content);
    change(room, room_id, by, Change { target: target.user_id, content, precheck: Precheck::None }).await
}

pub(crate) fn check_local(room: &Room, user_id: &UserId) -> Result<(), RoomError> {
    if room.is_local(user_id.server_name()) {
        return Ok(());
    }
    Err(RoomError::OtherServer(format!("{user_id} is a user of another server, and this one does not federate yet")))
}

/// `M_FORBIDDEN` ← neither joined nor invited nor knocking
pub(crate) async fn leave(
    room: &Room,
    room_id: &RoomId,
    by: Requester<'_>,
    reason: Option<String>,
) -> Result<OwnedEventId, RoomError> {
    let target = by.auth.user_id.clone();
    change(room, room_id, by, Change { target, content: content("leave", reason), precheck: Precheck::None }).await
}

/// `M_FORBIDDEN` ← no power over the target, or the target is not there
pub(crate) async fn kick(
    room: &Room,
    room_id: &RoomId,
    by: Requester<'_>,
    target: Target,
) -> Result<OwnedEventId, RoomError> {
    let check = |head: &Head, event: &NewEvent| match head.membership(target_of(event)?).as_str() {
        "join" | "invite" | "knock" => Ok(()),
        _ => Err(RoomError::Forbidden("the target user is not in the room".to_owned())),
    };
    let content = content("leave", target.reason);
    change(room, room_id, by, Change { target: target.user_id, content, precheck: Precheck::Refuse(&check) }).await
}

/// `M_FORBIDDEN` ← no power over the target
pub(crate) async fn ban(
    room: &Room,
    room_id: &RoomId,
    by: Requester<'_>,
    target: Target,
) -> Result<OwnedEventId, RoomError> {
    let content = content("ban", target.reason);
    change(room, room_id, by, Change { target: target.user_id, content, precheck: Precheck::None }).await
}

/// `M_FORBIDDEN` ← the target is not banned, or no power to unban
pub(crate) async fn unban(
    room: &Room,
    room_id: &RoomId,
    by: Requester<'_>,
    target: Target,
) -> Result<OwnedEventId, RoomError> {
    let check = |head: &Head, event: &NewEvent| match head.membership(target_of(event)?).as_str() {
        "ban" => Ok(()),
        _ => Err(RoomError::Forbidden("the target user is not banned".to_owned())),
    };
    let content = content("leave", target.reason);
    change(room, room_id, by, Change { target: target.user_id, content, precheck: Precheck::Refuse(&check) }).await
}
