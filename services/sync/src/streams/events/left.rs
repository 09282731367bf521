//! Rooms that the requester has left, was kicked or banned from, or whose invite they declined: each appears once.

use std::sync::Arc;

use matrixon_rooms::Membership;

use super::{
    super::{Gap, LeftRoom, Missing, News, StateSection, Timeline, View},
    Room,
    source::Window,
    timeline::{Sight, pick},
};

pub(super) fn incremental(room: Room<'_>, since: i64, news: &mut News, missing: &mut Missing) {
    let Some(standing) = room.standing(since, missing) else { return };
    let was_in = standing.before == Some(Membership::Join);
    let left = if was_in {
        since_last_sync(room, since, standing.after.len() > 1, missing)
    } else if standing.after.iter().any(|(_, after)| *after == Membership::Join) {
        whole_stay(room, since, missing)
    } else {
        last_word(room, missing)
    };
    if let Some(left) = left {
        news.left.insert(room.id.clone(), left);
    }
}

/// For `include_leave` in a sync without `since`.
pub(super) fn complete(room: Room<'_>, news: &mut News, missing: &mut Missing) {
    let Some(forgotten) = forgotten(room.view, missing) else { return };
    if forgotten.contains(&room.place.room) {
        return;
    }
    if let Some(left) = whole_stay(room, 0, missing) {
        news.left.insert(room.id.clone(), left);
    }
}

fn forgotten<'a>(view: &View<'a>, missing: &mut Missing) -> Option<&'a std::collections::HashSet<i64>> {
    missing.forgotten |= view.loaded.forgotten.is_none();
    view.loaded.forgotten.as_ref()
}

/// What happened from the last sync to the leave.
fn since_last_sync(room: Room<'_>, since: i64, came_back: bool, missing: &mut Missing) -> Option<LeftRoom> {
    let Window { low, events, changed } = room.window(since, room.place.position, missing)?;
    let sight = if came_back { Sight::By(room.history(missing)?) } else { Sight::Everything };
    let limit = room.view.ask.filter.timeline.limit;
    let timeline = pick(&events, low, low > since, limit, |event| room.wants(event) && sight.admits(event));
    let delta: Vec<_> = room.changed_state(changed, &events, &timeline).into_values().collect();
    let state = if delta.is_empty() { StateSection::Nothing } else { StateSection::Events(delta) };
    Some(LeftRoom { timeline: Timeline { place: Some(room.place), ..timeline }, state })
}

/// The room as the requester last saw it, for a client that knows nothing of it after `known`.
fn whole_stay(room: Room<'_>, known: i64, missing: &mut Missing) -> Option<LeftRoom> {
    let history = room.history(missing);
    let limit = room.view.ask.filter.timeline.limit;
    let upto = room.place.position;
    let Some(loaded) = room.view.loaded.left.get(room.id) else {
        missing.left.insert(room.id.clone(), Gap { room: room.place.room, since: known, upto, limit: limit + 1 });
        return None;
    };
    let history = history?;
    let sight = Sight::By(history);
    let low = loaded.events.first().map_or(known, |first| first.position - 1);
    let cut = !loaded.complete;
    let timeline = pick(&loaded.events, low, cut, limit, |event| room.wants(event) && sight.admits(event));
    let was_in = history.iter().any(|(_, membership)| *membership == Membership::Join);
    if !was_in {
        return last_word(room, missing);
    }
    let state = room.whole_state(&loaded.state, &timeline, &room.summary(&loaded.state));
    Some(LeftRoom { timeline: Timeline { place: Some(room.place), ..timeline }, state })
}

/// Only the requester's own membership event: they were never in the room.
fn last_word(room: Room<'_>, missing: &mut Missing) -> Option<LeftRoom> {
    let position = room.place.position;
    let window = room.window(position - 1, position, missing)?;
    let own = window.events.into_iter().filter(|event| event.position == position).collect::<Vec<Arc<_>>>();
    Some(LeftRoom {
        timeline: Timeline { events: own, limited: false, before: position - 1, place: Some(room.place) },
        state: StateSection::Nothing,
    })
}
