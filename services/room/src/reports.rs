//! Reports of users to the administrators. <https://spec.matrix.org/v1.19/client-server-api/#reporting-content>

use matrixon_accounts::profiles;
use matrixon_rooms::{Membership, events, members, rooms};
use ruma::{EventId, RoomId, UserId};

use crate::{
    error::RoomError,
    service::Room,
    store::reports::{self, NewReport},
};

const MAX_REASON_CHARS: usize = 1_000;

/// Who reports, and why.
pub(crate) struct Reporter<'a> {
    pub(crate) user_id: &'a UserId,
    pub(crate) reason: String,
}

impl Reporter<'_> {
    fn report(self, room: &Room, kind: &'static str) -> Result<NewReport, RoomError> {
        if self.reason.chars().count() > MAX_REASON_CHARS {
            return Err(RoomError::InvalidParam(format!("`reason` has at most {MAX_REASON_CHARS} characters")));
        }
        Ok(NewReport {
            kind,
            reporter: self.user_id.to_string(),
            reason: self.reason,
            received_ts: room.clock.now_ms(),
            ..NewReport::default()
        })
    }
}

/// Whoever has heard of a room may report it. `M_NOT_FOUND` ← a room that this server does not know
pub(crate) async fn report_room(room: &Room, by: Reporter<'_>, room_id: &RoomId) -> Result<(), RoomError> {
    let report = by.report(room, "room")?;
    rooms::find_room(&room.db, room_id.as_str()).await?.ok_or(RoomError::UnknownRoom)?;
    Ok(reports::upsert(&room.db, &NewReport { room_id: room_id.to_string(), ..report }).await?)
}

/// `M_NOT_FOUND` ← the reporter is not in the room, or there is no such event in it: the answer is the same
pub(crate) async fn report_event(
    room: &Room,
    by: Reporter<'_>,
    room_id: &RoomId,
    event_id: &EventId,
) -> Result<(), RoomError> {
    let unknown = || RoomError::NotFound("there is no such event, or you are not in its room".to_owned());
    let reporter = by.user_id;
    let report = by.report(room, "event")?;
    let number = rooms::find_room(&room.db, room_id.as_str()).await?.ok_or_else(unknown)?.id;
    let member = members::find(&room.db, number, reporter.as_str()).await?;
    if member.is_none_or(|member| member.kind() != Membership::Join) {
        return Err(unknown());
    }
    let event = events::find_event(&room.db, event_id.as_str()).await?.filter(|event| event.room == number);
    let sender = event.ok_or_else(unknown)?.sender;
    let report = NewReport { room_id: room_id.to_string(), event_id: event_id.to_string(), user_id: sender, ..report };
    Ok(reports::upsert(&room.db, &report).await?)
}

/// Says nothing about whether there is such a user; reports of unknown ones are not kept.
pub(crate) async fn report_user(room: &Room, by: Reporter<'_>, user_id: &UserId) -> Result<(), RoomError> {
    let report = by.report(room, "user")?;
    let is_known =
        profiles::exists(&room.db, user_id.as_str()).await? || members::is_known(&room.db, user_id.as_str()).await?;
    if is_known {
        reports::upsert(&room.db, &NewReport { user_id: user_id.to_string(), ..report }).await?;
    }
    Ok(())
}
