//! Leaving on somebody's behalf: guests that are shut out, accounts that have ended.

use matrixon_matrix::NewEvent;
use matrixon_rooms::{Membership, members};
use ruma::{OwnedEventId, RoomId, UserId, events::StateEventType};

use super::change::content;
use crate::{
    error::RoomError,
    head::Head,
    service::Room,
    store::append::Dedupe,
    timeline::{
        append::append,
        draft::{Draft, Precheck},
    },
};

/// The user leaves every room, turns every invitation down and takes every knock back. May be repeated, and be
/// interrupted: what is done stays done.
pub(crate) async fn depart_from_all(room: &Room, user_id: &UserId) -> Result<(), RoomError> {
    for row in members::list_for_user(&room.db, user_id.as_str()).await? {
        if !matches!(row.kind(), Membership::Join | Membership::Invite | Membership::Knock) {
            continue;
        }
        let Ok(room_id) = RoomId::parse(row.room_id.as_str()) else { continue };
        match depart(room, &room_id, user_id).await {
            Ok(()) => {}
            // nothing that trying again would change
            Err(error @ (RoomError::Forbidden(_) | RoomError::UnknownRoom)) => {
                tracing::warn!(%room_id, %user_id, %error, "an ended account cannot leave a room");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The user leaves this room, unless that has happened already.
pub(super) async fn depart(room: &Room, room_id: &RoomId, user_id: &UserId) -> Result<(), RoomError> {
    let event = NewEvent::state(user_id.to_owned(), "m.room.member", user_id.as_str(), content("leave", None));
    let precheck = Precheck::Find(find_departure);
    append(room, room_id, &Draft { event, dedupe: Dedupe::None, redaction: None, precheck }).await?;
    Ok(())
}

fn find_departure(head: &Head, event: &NewEvent) -> Option<OwnedEventId> {
    let member = head.state(&StateEventType::RoomMember, event.sender.as_str())?;
    let membership = member.content_str("membership");
    matches!(membership.as_deref(), Some("leave" | "ban")).then(|| member.event_id.clone())
}
