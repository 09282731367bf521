//! The newest items of one stream, bounded in bytes.

use std::{collections::VecDeque, sync::Arc};

/// An item with its place in its stream.
pub(crate) trait Positioned {
    fn position(&self) -> i64;
    /// What it costs to keep, roughly.
    fn bytes(&self) -> usize;
}

#[derive(Debug)]
pub(crate) struct Tail<T> {
    items: VecDeque<Arc<T>>,
    /// Every item after this position, up to the head, is here.
    floor: i64,
    head: i64,
    bytes: usize,
    max_bytes: usize,
}

impl<T: Positioned> Tail<T> {
    pub(crate) fn new(head: i64, max_bytes: usize) -> Self {
        Self { items: VecDeque::new(), floor: head, head, bytes: 0, max_bytes }
    }

    pub(crate) fn head(&self) -> i64 {
        self.head
    }

    /// False if the item is no news.
    pub(crate) fn push(&mut self, item: Arc<T>) -> bool {
        if item.position() <= self.head {
            return false;
        }
        self.head = item.position();
        self.bytes += item.bytes();
        self.items.push_back(item);
        while self.bytes > self.max_bytes {
            let Some(oldest) = self.items.pop_front() else { break };
            self.bytes -= oldest.bytes();
            self.floor = oldest.position();
        }
        true
    }

    /// The stream has reached this position; what is not here of it no longer exists (replaced by later items).
    pub(crate) fn reach(&mut self, position: i64) {
        self.head = self.head.max(position);
    }

    /// Items after `position`, ascending; None if some of them are no longer here.
    pub(crate) fn since(&self, position: i64) -> Option<impl DoubleEndedIterator<Item = &Arc<T>>> {
        if position < self.floor {
            return None;
        }
        let start = self.items.partition_point(|item| item.position() <= position);
        Some(self.items.range(start..))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Positioned, Tail};

    impl Positioned for i64 {
        fn position(&self) -> i64 {
            *self
        }

        fn bytes(&self) -> usize {
            10
        }
    }

    #[test]
    fn keeps_the_newest_and_knows_what_it_lost() {
        let mut tail = Tail::<i64>::new(5, 30);
        for position in [6, 7, 7, 6, 8, 10] {
            tail.push(Arc::new(position));
        }
        tail.reach(12);
        assert_eq!(tail.head(), 12);
        assert!(tail.since(5).is_none());
        assert_eq!(tail.since(6).unwrap().map(|item| **item).collect::<Vec<_>>(), [7, 8, 10]);
        assert_eq!(tail.since(10).unwrap().count(), 0);
    }
}
