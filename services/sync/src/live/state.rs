//! The current state of a room in memory. Shared with responses that are being built; the pump changes its own copy.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use matrixon_rooms::{HistoryVisibility, Membership};

use super::event::{Event, MEMBER, VISIBILITY, visibility_of};

type ByKey = HashMap<Arc<str>, Arc<Event>>;

#[derive(Debug, Default)]
pub(crate) struct RoomState {
    by_type: HashMap<Arc<str>, ByKey>,
    joined: usize,
    invited: usize,
    bytes: usize,
    /// All of it as the elements of a JSON array, without brackets: the same for everybody who asks at this moment.
    rendered: OnceLock<Bytes>,
}

impl Clone for RoomState {
    fn clone(&self) -> Self {
        Self { rendered: OnceLock::new(), by_type: self.by_type.clone(), ..*self }
    }
}

impl RoomState {
    pub(crate) fn new(events: impl IntoIterator<Item = Arc<Event>>) -> Self {
        let mut state = Self::default();
        for event in events {
            state.apply(event);
        }
        state
    }

    pub(crate) fn apply(&mut self, event: Arc<Event>) {
        let Some(state_key) = event.state_key.clone() else { return };
        self.rendered = OnceLock::new();
        self.bytes += event.bytes();
        self.count(&event, 1);
        let replaced = self.by_type.entry(event.event_type.clone()).or_default().insert(state_key, event);
        if let Some(replaced) = replaced {
            self.bytes -= replaced.bytes();
            self.count(&replaced, -1);
        }
    }

    fn count(&mut self, event: &Event, by: isize) {
        if &*event.event_type != MEMBER {
            return;
        }
        match event.membership {
            Some(Membership::Join) => self.joined = self.joined.saturating_add_signed(by),
            Some(Membership::Invite) => self.invited = self.invited.saturating_add_signed(by),
            _ => {}
        }
    }

    pub(crate) fn find(&self, event_type: &str, state_key: &str) -> Option<&Arc<Event>> {
        self.by_type.get(event_type)?.get(state_key)
    }

    pub(crate) fn events(&self) -> impl Iterator<Item = &Arc<Event>> {
        self.by_type.values().flat_map(HashMap::values)
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &Arc<Event>> {
        self.by_type.get(MEMBER).into_iter().flat_map(HashMap::values)
    }

    pub(crate) fn joined(&self) -> usize {
        self.joined
    }

    pub(crate) fn invited(&self) -> usize {
        self.invited
    }

    pub(crate) fn visibility(&self) -> HistoryVisibility {
        self.find(VISIBILITY, "").map_or(HistoryVisibility::Shared, |event| visibility_of(&event.json))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes + 200
    }

    pub(crate) fn rendered(&self) -> Bytes {
        self.rendered
            .get_or_init(|| {
                let mut text = Vec::with_capacity(self.bytes);
                let mut events: Vec<_> = self.events().collect();
                events.sort_unstable_by_key(|event| event.position);
                for event in events {
                    if !text.is_empty() {
                        text.push(b',');
                    }
                    text.extend_from_slice(&event.json);
                }
                Bytes::from(text)
            })
            .clone()
    }
}
