//! Pages of a room's timeline.

use std::collections::BTreeSet;

use matrixon_http::UserAuth;
use matrixon_rooms::{
    EventRow,
    events::{Direction, list_timeline},
};
use matrixon_store::streams::{self, Stream};
use ruma::{
    RoomId,
    api::client::filter::{LazyLoadOptions, RoomEventFilter},
};

use super::{
    filter, members,
    present::{array, object, present, string},
    token,
    view::View,
};
use crate::{error::RoomError, service::Room};

/// Events in one page at most.
pub(crate) const MAX_LIMIT: u64 = 1_000;
/// Rows read for one page at most: behind a narrow filter a page may be short, or empty, and its token leads on.
const MAX_SCANNED: usize = 2_000;

/// Which page.
pub(crate) struct Page<'a> {
    pub(crate) from: Option<&'a str>,
    pub(crate) to: Option<&'a str>,
    pub(crate) direction: Direction,
    pub(crate) limit: u64,
    pub(crate) filter: &'a RoomEventFilter,
}

/// A part of a timeline, the nearest to its beginning first.
pub(crate) struct Slice {
    pub(crate) rows: Vec<EventRow>,
    /// The place where the next slice begins; None: there is nothing more.
    pub(crate) next: Option<i64>,
}

/// The response of `GET rooms/{room_id}/messages`.
pub(crate) async fn messages(
    room: &Room,
    auth: &UserAuth,
    room_id: &RoomId,
    page: Page<'_>,
) -> Result<bytes::Bytes, RoomError> {
    let from = page.from.filter(|token| !token.is_empty()).map(token::parse).transpose()?;
    let to = page.to.filter(|token| !token.is_empty()).map(token::parse).transpose()?;
    let view = View::load(&room.db, room_id, &auth.user_id).await?;
    let start = match (from, page.direction) {
        (Some(from), _) => from,
        (None, Direction::Forward) => i64::MIN,
        (None, Direction::Backward) => streams::head(&room.db, Stream::EVENTS).await?,
    };
    let slice = if filter::admits_room(page.filter, room_id) {
        read_slice(room, &view, start, to, &page).await?
    } else {
        Slice { rows: Vec::new(), next: None }
    };
    let state = lazy_state(room, &view, &slice.rows, page.filter).await?;
    let chunk = present(room, auth, &view, &slice.rows).await?;
    let state = if state.is_empty() { None } else { Some(array(&present(room, auth, &view, &state).await?)) };
    Ok(object(&[
        ("start", Some(string(&token::format(start.max(0))))),
        ("end", slice.next.map(|next| string(&token::format(next)))),
        ("chunk", Some(array(&chunk))),
        ("state", state),
    ]))
}

/// Visible events that pass the filter, from the place `start`.
pub(crate) async fn read_slice(
    room: &Room,
    view: &View,
    start: i64,
    to: Option<i64>,
    page: &Page<'_>,
) -> Result<Slice, RoomError> {
    let limit = page.limit.min(MAX_LIMIT) as usize;
    let (mut rows, mut place, mut scanned) = (Vec::new(), start, 0);
    while rows.len() < limit && scanned < MAX_SCANNED {
        let wanted = (limit - rows.len()).clamp(20, 500) as i64;
        let batch = list(room, view.room.id, place, to, page.direction, wanted).await?;
        let read = batch.len();
        scanned += read;
        for row in batch {
            if rows.len() == limit {
                return Ok(Slice { rows, next: Some(place) });
            }
            place = place_after(&row, page.direction);
            if view.can_see(&row) && filter::passes(page.filter, &row) {
                rows.push(row);
            }
        }
        if (read as i64) < wanted {
            // the end of what there is now: a reader of newer events goes on from there later
            let next = (page.direction == Direction::Forward && !rows.is_empty()).then_some(place);
            return Ok(Slice { rows, next });
        }
    }
    Ok(Slice { rows, next: Some(place) })
}

/// A place is just after a position, in either direction of reading.
fn place_after(row: &EventRow, direction: Direction) -> i64 {
    match direction {
        Direction::Forward => row.position,
        Direction::Backward => row.position - 1,
    }
}

async fn list(
    room: &Room,
    number: i64,
    place: i64,
    to: Option<i64>,
    direction: Direction,
    limit: i64,
) -> Result<Vec<EventRow>, RoomError> {
    // `list_timeline` excludes both ends
    let (from, to) = match direction {
        Direction::Forward => (place, to.map_or(i64::MAX, |to| to.saturating_add(1))),
        Direction::Backward => (place.saturating_add(1), to.unwrap_or(i64::MIN)),
    };
    Ok(list_timeline(&room.db, number, from, to, direction, limit).await?)
}

/// With lazy loading: the members who sent these events.
pub(crate) async fn lazy_state(
    room: &Room,
    view: &View,
    rows: &[EventRow],
    filter: &RoomEventFilter,
) -> Result<Vec<EventRow>, RoomError> {
    if matches!(filter.lazy_load_options, LazyLoadOptions::Disabled) || rows.is_empty() {
        return Ok(Vec::new());
    }
    let senders: BTreeSet<&str> = rows.iter().map(|row| row.sender.as_str()).collect();
    members::load_some(room, view, &senders).await
}
