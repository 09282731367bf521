//! One event, alone or with its surroundings.

use matrixon_http::UserAuth;
use matrixon_rooms::{
    EventRow,
    events::{Direction, find_event},
    state,
};
use ruma::{
    EventId, RoomId,
    api::client::filter::{LazyLoadOptions, RoomEventFilter},
};

use super::{
    messages::{self, Page, Slice},
    present::{array, object, present, string},
    token,
    view::View,
};
use crate::{error::RoomError, service::Room};

pub(crate) fn not_found() -> RoomError {
    RoomError::NotFound("there is no such event, or you may not see it".to_owned())
}

/// `M_NOT_FOUND` ← unknown, or not visible
pub(crate) async fn find_visible(
    room: &Room,
    auth: &UserAuth,
    room_id: &RoomId,
    event_id: &EventId,
) -> Result<(View, EventRow), RoomError> {
    let view = match View::load(&room.db, room_id, &auth.user_id).await {
        Err(RoomError::Forbidden(_)) => return Err(not_found()),
        view => view?,
    };
    let row = find_event(&room.db, event_id.as_str()).await?.filter(|row| view.can_see(row)).ok_or_else(not_found)?;
    Ok((view, row))
}

/// The response of `GET rooms/{room_id}/context/{event_id}`.
pub(crate) async fn context(
    room: &Room,
    auth: &UserAuth,
    room_id: &RoomId,
    event_id: &EventId,
    limit: u64,
    filter: &RoomEventFilter,
) -> Result<bytes::Bytes, RoomError> {
    let view = View::load(&room.db, room_id, &auth.user_id).await?;
    let event = find_event(&room.db, event_id.as_str()).await?.filter(|row| row.room == view.room.id);
    let event = event.ok_or_else(not_found)?;
    if !view.can_see(&event) {
        return Err(RoomError::Forbidden("you do not have permission to see this event".to_owned()));
    }
    let limit = limit.min(messages::MAX_LIMIT);
    let before = slice(room, &view, event.position - 1, Direction::Backward, limit / 2, filter).await?;
    let after = slice(room, &view, event.position, Direction::Forward, limit - limit / 2, filter).await?;

    let mut shown: Vec<EventRow> = before.rows.iter().chain(&after.rows).cloned().collect();
    shown.push(event.clone());
    let snapshot = after.rows.last().unwrap_or(&event).state_after;
    let mut state = state::load_snapshot(&room.db, snapshot).await?;
    if !matches!(filter.lazy_load_options, LazyLoadOptions::Disabled) {
        state.retain(|row| {
            row.event_type != "m.room.member"
                || shown.iter().any(|event| row.state_key.as_deref() == Some(event.sender.as_str()))
        });
    }
    let start = before.next.unwrap_or_else(|| before.rows.last().unwrap_or(&event).position - 1);
    let end = after.next.unwrap_or_else(|| after.rows.last().unwrap_or(&event).position);
    let shown = |rows| present(room, auth, &view, rows);
    Ok(object(&[
        ("start", Some(string(&token::format(start)))),
        ("end", Some(string(&token::format(end)))),
        ("events_before", Some(array(&shown(&before.rows).await?))),
        ("event", shown(std::slice::from_ref(&event)).await?.pop()),
        ("events_after", Some(array(&shown(&after.rows).await?))),
        ("state", Some(array(&shown(&state).await?))),
    ]))
}

async fn slice(
    room: &Room,
    view: &View,
    place: i64,
    direction: Direction,
    limit: u64,
    filter: &RoomEventFilter,
) -> Result<Slice, RoomError> {
    if limit == 0 {
        return Ok(Slice { rows: Vec::new(), next: None });
    }
    messages::read_slice(room, view, place, None, &Page { from: None, to: None, direction, limit, filter }).await
}
