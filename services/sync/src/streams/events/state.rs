//! The state section: what a client needs so that, with the timeline applied, it knows the state at the end.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use super::{
    super::{StateSection, Summary, Timeline},
    Room,
};
use crate::{
    filter::LazyMembers,
    live::{
        event::{Event, MEMBER},
        state::RoomState,
    },
};
use matrixon_rooms::Membership;

type Key = (Arc<str>, Arc<str>);

/// Members that a summary names.
const HEROES: usize = 5;

fn key(event: &Event) -> Option<Key> {
    Some((event.event_type.clone(), event.state_key.clone()?))
}

/// For every key that the timeline changes: what it was before the timeline's first event of that key.
fn before_timeline(timeline: &Timeline) -> HashMap<Key, Option<Event>> {
    let mut before = HashMap::new();
    for event in &timeline.events {
        if let Some(key) = key(event) {
            before.entry(key).or_insert_with(|| event.previous_event());
        }
    }
    before
}

impl Room<'_> {
    fn wants_state(self, event: &Event) -> bool {
        self.view.ask.filter.state.admits(&event.event_type, &event.sender, &event.json)
    }

    /// The whole state: at the end of the timeline for `state_after`, else before its first event.
    pub(super) fn whole_state(self, state: &Arc<RoomState>, timeline: &Timeline, summary: &Summary) -> StateSection {
        let ask = self.view.ask;
        let filter = &ask.filter;
        if !filter.state.admits_room(self.id) {
            return StateSection::Nothing;
        }
        let mut before = if ask.state_after { HashMap::new() } else { before_timeline(timeline) };
        if before.is_empty() && filter.state.is_open() && !filter.lazy.is_on() {
            return StateSection::Whole(state.clone());
        }
        let mut events = Vec::new();
        for event in state.events() {
            let Some(key) = key(event) else { continue };
            match before.remove(&key) {
                Some(Some(previous)) => events.push(Arc::new(previous)),
                Some(None) => {}
                None => events.push(event.clone()),
            }
        }
        let lazy = filter.lazy.is_on();
        let wanted = if lazy { self.lazy_members(timeline, Some(summary), true) } else { HashSet::new() };
        events.retain(|event| {
            let skipped = lazy
                && &*event.event_type == MEMBER
                && event.state_key.as_ref().is_none_or(|member| !wanted.contains(member));
            !skipped && self.wants_state(event)
        });
        self.mark_sent(&events);
        StateSection::Events(events)
    }

    /// What changed between the client's position and the timeline, and changes that the filter keeps out of the timeline.
    /// For `state_after`: what changed at all.
    pub(super) fn changed_state(
        self,
        changed: &[Arc<Event>],
        events: &[Arc<Event>],
        timeline: &Timeline,
    ) -> BTreeMap<Key, Arc<Event>> {
        let ask = self.view.ask;
        if !ask.filter.state.admits_room(self.id) {
            return BTreeMap::new();
        }
        let shown: HashSet<i64> = timeline.events.iter().map(|event| event.position).collect();
        // once the timeline shows a key, the timeline tells the rest of it
        let mut told = HashSet::new();
        let mut delta = BTreeMap::new();
        for event in changed.iter().chain(events) {
            let Some(key) = key(event) else { continue };
            if ask.state_after {
                delta.insert(key, event.clone());
            } else if shown.contains(&event.position) {
                told.insert(key);
            } else if !told.contains(&key) {
                delta.insert(key, event.clone());
            }
        }
        delta.retain(|_, event| self.wants_state(event));
        delta
    }

    /// Adds members that a lazily loading client lacks for this timeline.
    pub(super) fn add_lazy_members(
        self,
        delta: &mut BTreeMap<Key, Arc<Event>>,
        state: &RoomState,
        timeline: &Timeline,
        summary: Option<&Summary>,
    ) {
        let since = self.view.ask.since.map_or(0, |since| since.events);
        let repeat = matches!(self.view.ask.filter.lazy, LazyMembers::On { include_redundant: true });
        let mut before = before_timeline(timeline);
        for member in self.lazy_members(timeline, summary, false) {
            let key = (Arc::from(MEMBER), member);
            if delta.contains_key(&key) {
                continue;
            }
            let event = match before.remove(&key) {
                Some(previous) => previous.map(Arc::new),
                None => state.find(MEMBER, &key.1).cloned(),
            };
            let Some(event) = event else { continue };
            if self.wants_state(&event) && (repeat || !self.view.sent_members.knows(self.id, &event.event_id, since)) {
                delta.insert(key, event);
            }
        }
    }

    /// Remembers which members the client will have when it comes back with this response's token.
    pub(super) fn mark_sent(self, events: &[Arc<Event>]) {
        if self.view.ask.filter.lazy.is_on() {
            for event in events.iter().filter(|event| &*event.event_type == MEMBER) {
                self.view.sent_members.mark(self.id, &event.event_id, self.view.now.events);
            }
        }
    }

    fn lazy_members(self, timeline: &Timeline, summary: Option<&Summary>, own: bool) -> HashSet<Arc<str>> {
        let mut members: HashSet<Arc<str>> = timeline.events.iter().map(|event| event.sender.clone()).collect();
        members.extend(summary.and_then(|summary| summary.heroes.as_ref()).into_iter().flatten().cloned());
        if own {
            members.insert(self.view.ask.user_id.clone());
        }
        members
    }

    pub(super) fn summary(self, state: &RoomState) -> Summary {
        let has_text = |event_type: &str, field: &str| {
            let event = state.find(event_type, "");
            let content = event.and_then(|event| crate::json::find(&event.json, "content"));
            content.and_then(|content| crate::json::find(content, field)).is_some_and(|text| text.len() > 2)
        };
        let named = has_text("m.room.name", "name") || has_text("m.room.canonical_alias", "alias");
        let heroes = (!named).then(|| heroes(state, &self.view.ask.user_id));
        Summary { heroes, joined: state.joined(), invited: state.invited() }
    }
}

/// The first members by stream order, without the reader; those who left only where nobody else is there.
fn heroes(state: &RoomState, reader: &str) -> Vec<Arc<str>> {
    let mut here: Vec<&Arc<Event>> = Vec::new();
    let mut gone: Vec<&Arc<Event>> = Vec::new();
    for event in state.members().filter(|event| event.state_key.as_deref() != Some(reader)) {
        match event.membership {
            Some(Membership::Join | Membership::Invite) => here.push(event),
            Some(Membership::Leave | Membership::Ban) => gone.push(event),
            _ => {}
        }
    }
    let mut heroes = if here.is_empty() { gone } else { here };
    if heroes.len() > HEROES {
        heroes.select_nth_unstable_by_key(HEROES - 1, |event| event.position);
        heroes.truncate(HEROES);
    }
    heroes.sort_unstable_by_key(|event| event.position);
    heroes.into_iter().filter_map(|event| event.state_key.clone()).collect()
}
