//! One room in memory: its newest events, and its state while the room is warm.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;

use super::{event::Event, items::Receipt, state::RoomState, tail::Positioned as _};

/// Newest events of a warm room that stay when the tail of the whole stream has passed them.
pub(crate) const KEEP: usize = 51;

#[derive(Debug)]
pub(crate) struct RoomMemory {
    /// Every event of the room after this position is in `events`.
    pub(crate) floor: i64,
    pub(crate) events: VecDeque<Arc<Event>>,
    pub(crate) warm: Option<Warm>,
}

/// What an initial sync of the room needs besides its events, kept current by the stream.
#[derive(Debug)]
pub(crate) struct Warm {
    pub(crate) state: Arc<RoomState>,
    pub(crate) receipts: Vec<Arc<Receipt>>,
    /// Tick of the last use.
    pub(crate) used: AtomicU64,
    pub(crate) bytes: usize,
}

impl Warm {
    pub(crate) fn new(state: Arc<RoomState>, receipts: Vec<Arc<Receipt>>, events: &VecDeque<Arc<Event>>) -> Self {
        let events: usize = events.iter().map(|event| event.bytes()).sum();
        let bytes = events + state.bytes() + receipts.iter().map(|receipt| receipt.bytes()).sum::<usize>();
        Self { state, receipts, used: AtomicU64::new(0), bytes }
    }

    pub(crate) fn touch(&self, tick: u64) {
        self.used.store(tick, Ordering::Relaxed);
    }
}

impl RoomMemory {
    pub(crate) fn new(floor: i64) -> Self {
        Self { floor, events: VecDeque::new(), warm: None }
    }

    /// Events after `position`, ascending.
    pub(crate) fn since(&self, position: i64) -> impl DoubleEndedIterator<Item = &Arc<Event>> {
        let start = self.events.partition_point(|event| event.position <= position);
        self.events.range(start..)
    }

    /// The tail of the stream begins after `floor`: drops what it has passed, but for the newest of a warm room.
    pub(crate) fn trim(&mut self, floor: i64) {
        let keep = if self.warm.is_some() { KEEP } else { 0 };
        while self.events.len() > keep && self.events.front().is_some_and(|event| event.position <= floor) {
            let dropped = self.events.pop_front();
            self.floor = dropped.map_or(self.floor, |event| event.position);
        }
        if self.warm.is_none() {
            self.floor = self.floor.max(floor);
        }
    }

    /// Exchanges the bytes of an event that was redacted.
    pub(crate) fn redact(&mut self, event_id: &str, json: &Bytes, redaction: &Bytes) {
        let redacted = |event: &Arc<Event>| {
            let (json, redaction) = (json.clone(), Some(redaction.clone()));
            Arc::new(Event { json, redaction, ..(**event).clone() })
        };
        let replaced = self.events.iter_mut().find(|event| *event.event_id == *event_id).map(|event| {
            *event = redacted(event);
            event.clone()
        });
        let Some(warm) = &mut self.warm else { return self.redact_previous(event_id, json) };
        let current = warm.state.events().find(|event| *event.event_id == *event_id).cloned();
        if let Some(current) = current {
            Arc::make_mut(&mut warm.state).apply(replaced.unwrap_or_else(|| redacted(&current)));
        }
        self.redact_previous(event_id, json);
    }

    /// `prev_content` of the event that replaced it must not tell what the redaction took away.
    fn redact_previous(&mut self, event_id: &str, json: &Bytes) {
        for event in &mut self.events {
            let is_previous = event
                .previous
                .as_ref()
                .is_some_and(|previous| crate::json::find_text(previous, "event_id") == Some(event_id));
            if is_previous {
                *event = Arc::new(Event { previous: Some(json.clone()), ..(**event).clone() });
            }
        }
    }
}

/// Moves the state past an event, and tells the event the visibility in force before it.
pub(crate) fn step(state: &mut Arc<RoomState>, event: Arc<Event>) -> Arc<Event> {
    let event = if event.visibility.is_some() {
        event
    } else {
        Arc::new(Event { visibility: Some(state.visibility()), ..(*event).clone() })
    };
    if event.is_state() {
        Arc::make_mut(state).apply(event.clone());
    }
    event
}
