//! The queue of one subscription, bounded in bytes.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{BusEvent, metrics::METRICS};

/// What a queued message costs beside its payload.
const OVERHEAD: usize = 96;

/// One reader, any number of writers; writers never wait.
#[derive(Debug)]
pub(crate) struct Inbox {
    queue: Mutex<Queue>,
    arrived: Notify,
    reset_wanted: Notify,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<BusEvent>,
    bytes: usize,
}

impl Inbox {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { queue: Mutex::default(), arrived: Notify::new(), reset_wanted: Notify::new(), max_bytes }
    }

    /// Appends a message. When there is no room the queue is emptied instead: its reader is so far behind
    /// that reading from SQL is cheaper, and one `Reset` says so.
    pub(crate) fn push(&self, subject: Arc<str>, payload: Bytes) {
        let mut queue = self.queue.lock();
        let cost = payload.len() + OVERHEAD;
        if queue.bytes + cost > self.max_bytes {
            let dropped = queue.events.iter().filter(|event| matches!(event, BusEvent::Message { .. })).count() + 1;
            METRICS.dropped_slow_consumer.inc_by(dropped as u64);
            METRICS.resets.inc();
            queue.events.clear();
            queue.events.shrink_to(1024);
            queue.bytes = 0;
            queue.events.push_back(BusEvent::Reset);
        } else {
            METRICS.received.inc();
            queue.bytes += cost;
            queue.events.push_back(BusEvent::Message { subject, payload });
        }
        drop(queue);
        self.arrived.notify_one();
    }

    /// Says that something may have been missed, unless that is the last thing said.
    pub(crate) fn reset(&self) {
        let mut queue = self.queue.lock();
        if queue.events.back() == Some(&BusEvent::Reset) {
            return;
        }
        METRICS.resets.inc();
        queue.events.push_back(BusEvent::Reset);
        drop(queue);
        self.arrived.notify_one();
    }

    /// Asks whoever fills this queue to say `Reset` behind what it has.
    pub(crate) fn want_reset(&self) {
        self.reset_wanted.notify_one();
    }

    pub(crate) async fn reset_wanted(&self) {
        self.reset_wanted.notified().await;
    }

    pub(crate) async fn next(&self) -> BusEvent {
        loop {
            if let Some(event) = self.pop() {
                return event;
            }
            // A notification between the look and the wait is kept by `Notify` for the wait.
            self.arrived.notified().await;
        }
    }

    fn pop(&self) -> Option<BusEvent> {
        let mut queue = self.queue.lock();
        let event = queue.events.pop_front()?;
        if let BusEvent::Message { payload, .. } = &event {
            queue.bytes -= payload.len() + OVERHEAD;
        }
        Some(event)
    }
}
