//! The newest events that a reader may and wants to see.

use std::sync::Arc;

use matrixon_rooms::{HistoryVisibility, Membership, visibility};

use super::{super::Timeline, Room};
use crate::live::event::Event;

/// Takes the newest `limit` admitted of `events`, which are all that there are after `low`.
/// `cut`: the client misses something at or before `low`.
pub(super) fn pick(
    events: &[Arc<Event>],
    low: i64,
    cut: bool,
    limit: usize,
    admit: impl Fn(&Event) -> bool,
) -> Timeline {
    let mut picked = Vec::with_capacity(limit.min(events.len()));
    let mut before = low;
    let mut limited = cut;
    for event in events.iter().rev().filter(|event| admit(event)) {
        if picked.len() == limit {
            before = picked.last().map_or(event.position, |first: &Arc<Event>| first.position - 1);
            limited = true;
            break;
        }
        picked.push(event.clone());
    }
    picked.reverse();
    Timeline { events: picked, limited, before, place: None }
}

impl Room<'_> {
    /// Does the filter let the event into the timeline, and does the requester not ignore its sender?
    pub(super) fn wants(self, event: &Event) -> bool {
        let filter = &self.view.ask.filter.timeline;
        let ignored = &self.view.user.ignored;
        (filter.is_open() || filter.admits(&event.event_type, &event.sender, &event.json))
            && (ignored.is_empty() || event.is_state() || !ignored.contains(&*event.sender))
    }
}

/// What a reader may see of a room's history.
pub(super) enum Sight<'a> {
    Everything,
    /// Decided by these memberships.
    By(&'a [(i64, Membership)]),
}

impl Sight<'_> {
    pub(super) fn admits(&self, event: &Event) -> bool {
        match self {
            Self::Everything => true,
            Self::By(history) => {
                let in_force = event.visibility.unwrap_or(HistoryVisibility::Shared);
                visibility::can_see(event.position, in_force, history)
            }
        }
    }
}
