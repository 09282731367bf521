//! A reader's place in a stream: a pure state machine, fed by bells and heads, that never skips and never repeats.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// What the owner should do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<T> {
    /// Deliver these; the head has moved past them. In position order.
    Deliver(Vec<T>),
    /// Read positions `after + 1 ..= upto` from SQL and hand them to [`Follower::loaded`].
    Load { after: i64, upto: i64 },
    /// Nothing until the next bell, or until this moment.
    Wait(Option<Instant>),
}

struct Pending<T> {
    last: i64,
    /// None: the bell came without items, or they were dropped to stay within bounds.
    items: Option<Vec<(i64, T)>>,
    since: Instant,
}

/// Bells of different writers may overtake each other by a moment; only after this long is a gap read from SQL.
const REORDER_WINDOW: Duration = Duration::from_millis(20);
/// Bells waiting behind a gap; more are remembered as ranges without items.
const MAX_PENDING_ITEMS: usize = 10_000;
/// Positions loaded from SQL in one go.
const MAX_LOAD: i64 = 1_000;

pub struct Follower<T> {
    head: i64,
    /// The greatest position known to be committed.
    known: i64,
    pending: BTreeMap<i64, Pending<T>>,
    pending_items: usize,
    gaps: u64,
}

impl<T> Follower<T> {
    /// Starts after `head`, a position read from SQL.
    pub fn new(head: i64) -> Self {
        Self { head, known: head, pending: BTreeMap::new(), pending_items: 0, gaps: 0 }
    }

    /// Everything up to here was delivered.
    pub fn head(&self) -> i64 {
        self.head
    }

    /// How far behind the stream's known end this reader is.
    pub fn lag(&self) -> i64 {
        self.known - self.head
    }

    /// Gaps seen so far, for `matrixon_bus_gaps_total`.
    pub fn gaps(&self) -> u64 {
        self.gaps
    }

    /// A bell: `first..=last` were committed. Items come with their positions, or not at all.
    pub fn bell(&mut self, first: i64, last: i64, items: Option<Vec<(i64, T)>>, now: Instant) {
        if first > last || last <= self.head {
            return; // nonsense, or already delivered
        }
        let items = items.filter(|items| self.pending_items + items.len() <= MAX_PENDING_ITEMS);
        // of two bells with the same beginning, keep the one that can be delivered
        if let Some(known) = self.pending.get(&first) {
            if known.last >= last && (known.items.is_some() || items.is_none()) {
                return;
            }
            self.remove(first);
        }
        self.pending_items += items.as_ref().map_or(0, Vec::len);
        self.pending.insert(first, Pending { last, items, since: now });
    }

    /// SQL said that the stream has reached `position`.
    pub fn head_is(&mut self, position: i64) {
        self.known = self.known.max(position);
    }

    /// The answer to [`Step::Load`]: rows that no longer exist (replaced since) may be absent.
    pub fn loaded(&mut self, upto: i64) {
        self.head = self.head.max(upto);
        self.known = self.known.max(upto);
    }

    /// Call until it says [`Step::Wait`].
    pub fn next(&mut self, now: Instant) -> Step<T> {
        while let Some((&first, pending)) = self.pending.first_key_value() {
            if pending.last <= self.head {
                self.remove(first);
                continue;
            }
            if first > self.head + 1 && self.known <= self.head {
                // a gap: give the missing bell a moment to arrive
                let due = pending.since + REORDER_WINDOW;
                if now < due {
                    return Step::Wait(Some(due));
                }
            }
            if first > self.head + 1 {
                self.gaps += 1;
                return self.load(first - 1);
            }
            return self.take(first);
        }
        if self.known > self.head { self.load(self.known) } else { Step::Wait(None) }
    }

    fn take(&mut self, first: i64) -> Step<T> {
        let Some(pending) = self.remove(first) else { return Step::Wait(None) };
        let Some(items) = pending.items else {
            self.known = self.known.max(pending.last);
            return self.load(pending.last);
        };
        let after = self.head;
        self.head = pending.last;
        self.known = self.known.max(self.head);
        Step::Deliver(items.into_iter().filter(|(position, _)| *position > after).map(|(_, item)| item).collect())
    }

    fn load(&self, upto: i64) -> Step<T> {
        Step::Load { after: self.head, upto: upto.min(self.head + MAX_LOAD) }
    }

    fn remove(&mut self, first: i64) -> Option<Pending<T>> {
        let pending = self.pending.remove(&first)?;
        self.pending_items -= pending.items.as_ref().map_or(0, Vec::len);
        Some(pending)
    }
}

#[cfg(test)]
mod tests;
