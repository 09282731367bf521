//! Rooms that the requester is in.

use std::sync::Arc;

use matrixon_rooms::{HistoryVisibility, Membership};

use super::{
    super::{Missing, News, StateSection, Timeline},
    Room,
    source::{Recent, Standing, Window},
    timeline::{Sight, pick},
};
use crate::live::event::MEMBER;

/// The room for a client that has nothing of it after `known`: state, newest events, summary.
pub(super) fn complete(room: Room<'_>, known: i64, news: &mut News, missing: &mut Missing) {
    let limit = room.view.ask.filter.timeline.limit;
    let Some(recent) = room.recent(limit + 1, missing) else { return };
    let Some(sight) = sight(room, &recent, missing) else { return };
    let events = &recent.events[recent.events.partition_point(|event| event.position <= known)..];
    let (low, cut) = if recent.floor > known { (recent.floor, recent.floor > 0) } else { (known, false) };
    let timeline = pick(events, low, cut, limit, |event| room.wants(event) && sight.admits(event));
    let summary = room.summary(&recent.state);
    let entry = news.joined(room.id);
    entry.state = room.whole_state(&recent.state, &timeline, &summary);
    entry.summary = Some(summary);
    entry.timeline = show(room, timeline);
}

/// None: memberships have to be loaded first. Mostly they need not be: who is in a room of shared history sees everything.
fn sight<'a>(room: Room<'a>, recent: &Recent, missing: &mut Missing) -> Option<Sight<'a>> {
    let hidden = |visibility| matches!(visibility, Some(HistoryVisibility::Invited | HistoryVisibility::Joined));
    let doubtful = |position| position < room.place.position;
    if recent.events.iter().any(|event| doubtful(event.position) && hidden(event.visibility)) {
        room.history(missing).map(Sight::By)
    } else {
        Some(Sight::Everything)
    }
}

pub(super) fn incremental(room: Room<'_>, since: i64, news: &mut News, missing: &mut Missing) {
    let Some(standing) = room.standing(since, missing) else { return };
    if standing.before == Some(Membership::Join) && standing.after.iter().all(|(_, after)| *after == Membership::Join) {
        steady(room, since, news, missing);
        return;
    }
    let Some(known) = known_to_client(room, since, &standing, missing) else { return };
    news.newly_joined.insert(room.id.clone());
    complete(room, known, news, missing);
    // Everywhere else a room that is new to a client comes as a limited one, and clients were written against that.
    if let Some(timeline) = news.joined.get_mut(room.id).and_then(|entry| entry.timeline.as_mut()) {
        timeline.limited = true;
    }
}

/// Up to where a client that joins (again) was sent the room's events before.
fn known_to_client(room: Room<'_>, since: i64, standing: &Standing, missing: &mut Missing) -> Option<i64> {
    match standing.before {
        None => Some(0),
        Some(Membership::Join) => Some(since),
        Some(_) => {
            let history = room.history(missing)?;
            let at = history.partition_point(|(position, _)| *position <= since);
            let gone = |(_, membership): &&(i64, Membership)| matches!(membership, Membership::Leave | Membership::Ban);
            // the leave or the ban was the last event that the client got, also if it never was in the room
            Some(history[..at].iter().rfind(gone).map_or(0, |(position, _)| *position))
        }
    }
}

/// The requester was in the room all the time.
fn steady(room: Room<'_>, since: i64, news: &mut News, missing: &mut Missing) {
    let ask = room.view.ask;
    let Some(Window { low, events, changed }) = room.window(since, room.view.now.events, missing) else { return };
    if events.is_empty() && changed.is_empty() && !ask.full_state {
        return;
    }
    let timeline = pick(&events, low, low > since, ask.filter.timeline.limit, |event| room.wants(event));
    let members_changed = events.iter().chain(changed).any(|event| &*event.event_type == MEMBER);
    let lazy = ask.filter.lazy.is_on() && !timeline.events.is_empty();
    let needs_state = members_changed || lazy || ask.full_state;
    let state = if needs_state {
        let Some(recent) = room.recent(0, missing) else { return };
        Some(recent.state)
    } else {
        None
    };
    let summary = state.as_ref().filter(|_| members_changed || ask.full_state).map(|state| room.summary(state));
    let section = match (&state, &summary) {
        (Some(state), Some(summary)) if ask.full_state => room.whole_state(state, &timeline, summary),
        _ => {
            let mut delta = room.changed_state(changed, &events, &timeline);
            if let Some(state) = state.as_ref().filter(|_| lazy) {
                room.add_lazy_members(&mut delta, state, &timeline, summary.as_ref());
            }
            let delta: Vec<_> = delta.into_values().collect();
            room.mark_sent(&delta);
            if delta.is_empty() { StateSection::Nothing } else { StateSection::Events(delta) }
        }
    };
    let timeline = show(room, timeline);
    if timeline.is_none() && matches!(section, StateSection::Nothing) {
        return;
    }
    let entry = news.joined(&Arc::clone(room.id));
    entry.timeline = timeline;
    entry.state = section;
    entry.summary = summary;
}

fn show(room: Room<'_>, timeline: Timeline) -> Option<Timeline> {
    let shown = room.view.ask.filter.timeline.admits_room(room.id) && (timeline.limited || !timeline.events.is_empty());
    shown.then(|| Timeline { place: Some(room.place), ..timeline })
}
