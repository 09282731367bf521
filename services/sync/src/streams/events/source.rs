//! Events, state and memberships of a room, from memory or from what was loaded for this response.

use std::sync::Arc;

use matrixon_rooms::Membership;

use super::{
    super::{Gap, Missing},
    Room,
};
use crate::live::{event::Event, room::step, state::RoomState};

/// All events of a room after `low`, and the state that changed between the client's position and `low`.
pub(super) struct Window<'a> {
    pub(super) low: i64,
    pub(super) events: Vec<Arc<Event>>,
    pub(super) changed: &'a [Arc<Event>],
}

/// The room as it is now, with its newest events: all of them after `floor`.
pub(super) struct Recent {
    pub(super) floor: i64,
    pub(super) events: Vec<Arc<Event>>,
    pub(super) state: Arc<RoomState>,
}

/// What the requester was in a room at a position and what they became after it.
pub(super) struct Standing {
    pub(super) before: Option<Membership>,
    pub(super) after: Vec<(i64, Membership)>,
}

impl<'a> Room<'a> {
    /// Events after `since` and not after `upto`.
    pub(super) fn window(self, since: i64, upto: i64, missing: &mut Missing) -> Option<Window<'a>> {
        let view = self.view;
        if let Some(mut events) = view.memory.events_since(self.id, since) {
            events.retain(|event| event.position <= upto);
            return Some(Window { low: since, events, changed: &[] });
        }
        if let Some(gap) = view.loaded.gaps.get(self.id).filter(|gap| gap.low >= since)
            && let Some(newer) = if gap.upto >= upto { Some(Vec::new()) } else { self.events_after_load(gap.upto) }
        {
            let events = gap.events.iter().cloned().chain(newer).filter(|event| event.position <= upto).collect();
            return Some(Window { low: gap.low, events, changed: &gap.changed });
        }
        let filter = &view.ask.filter.timeline;
        // a filter may drop most of what is loaded
        let limit = if filter.is_open() { filter.limit + 1 } else { (filter.limit * 4).max(200) };
        let upto = upto.min(view.now.events);
        missing.gaps.insert(self.id.clone(), Gap { room: self.place.room, since, upto, limit });
        None
    }

    /// The room now, with at least `want` events or all that it has.
    pub(super) fn recent(self, want: usize, missing: &mut Missing) -> Option<Recent> {
        self.warm(want).or_else(|| self.loaded(want)).or_else(|| {
            missing.rooms.insert(self.id.clone(), (self.place.room, want));
            None
        })
    }

    /// The requester's memberships over time, up to now.
    pub(super) fn history(self, missing: &mut Missing) -> Option<&'a [(i64, Membership)]> {
        let history = self.view.loaded.histories.get(self.id);
        // one that ends before the membership that we know of was loaded too early
        let history = history.filter(|history| history.last().is_some_and(|last| last.0 >= self.place.position));
        if history.is_none() {
            missing.histories.insert(self.id.clone(), self.place.room);
        }
        history.map(Vec::as_slice)
    }

    /// The requester's membership at `since` and what came after.
    pub(super) fn standing(self, since: i64, missing: &mut Missing) -> Option<Standing> {
        let place = self.place;
        if place.position <= since {
            return Some(Standing { before: Some(place.membership), after: Vec::new() });
        }
        if let Some(events) = self.view.memory.events_since(self.id, since) {
            let own: Vec<_> = events.iter().filter(|event| event.is_membership_of(&self.view.ask.user_id)).collect();
            let before = own.first().and_then(|first| first.previous_membership());
            let after = own.iter().filter_map(|event| Some((event.position, event.membership?))).collect();
            return Some(Standing { before, after });
        }
        let history = self.history(missing)?;
        let at = history.partition_point(|(position, _)| *position <= since);
        let before = at.checked_sub(1).map(|index| history[index].1);
        Some(Standing { before, after: history[at..].to_vec() })
    }

    fn warm(self, want: usize) -> Option<Recent> {
        let (room, warm) = self.view.memory.warm_room(self.id)?;
        // events from before the room was warm do not know their visibility
        let known = room.events.iter().rev().take_while(|event| event.visibility.is_some()).count();
        let all = known == room.events.len();
        if known < want && !(all && room.floor <= 0) {
            return None;
        }
        let skip = room.events.len() - known;
        let floor = if all { room.floor } else { room.events[skip - 1].position };
        Some(Recent { floor, events: room.events.range(skip..).cloned().collect(), state: warm.state.clone() })
    }

    fn loaded(self, want: usize) -> Option<Recent> {
        let loaded = self.view.loaded.rooms.get(self.id)?;
        if loaded.events.len() < want && loaded.floor > 0 {
            return None;
        }
        let newer = self.events_after_load(loaded.upto)?;
        let mut state = loaded.state.clone();
        let mut events = loaded.events.clone();
        events.extend(newer.into_iter().map(|event| step(&mut state, event)));
        Some(Recent { floor: loaded.floor, events, state })
    }

    /// None if memory no longer reaches back to the load, or what was loaded has been redacted since.
    fn events_after_load(self, upto: i64) -> Option<Vec<Arc<Event>>> {
        let newer = self.view.memory.events_since(self.id, upto)?;
        (!newer.iter().any(|event| event.is_redaction())).then_some(newer)
    }
}
