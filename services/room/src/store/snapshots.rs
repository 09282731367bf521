//! State snapshots as a Fenwick tree over the room's state changes (`migrations/…/0003_rooms.sql`).
//!
//! ```text
//!   height   1  2  3  4  5  6  7  8        the snapshot of height n holds the changes of (n - lowbit(n), n]
//!   holds    1 12  3 1-4 5 56  7 1-8       and its parent has height n - lowbit(n)
//! ```
//! A chain from any height to the root is at most log2(n) long, and writing n changes copies n·log2(n)/2 entries.

use std::collections::BTreeMap;

/// (event type, state key) → position of the event that is the state there.
pub(crate) type Entries = BTreeMap<(String, String), i64>;

/// A row of `state_snapshots` with its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) id: i64,
    pub(crate) parent: i64,
    pub(crate) height: i64,
    pub(crate) previous: i64,
    pub(crate) entries: Entries,
}

#[derive(Clone, Debug)]
struct Node {
    id: i64,
    height: i64,
    entries: Entries,
}

/// The chain from the root to the newest snapshot of a room, as far down as it is needed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chain {
    nodes: Vec<Node>,
}

/// The height of the parent of a snapshot.
pub(crate) fn parent_height(height: i64) -> i64 {
    height - (height & -height)
}

/// To add `count` snapshots above `height`, nodes above this height are needed with their entries.
pub(crate) fn needed_above(height: i64, count: usize) -> i64 {
    (height + 1..=height + count as i64).map(parent_height).min().unwrap_or(height)
}

impl Chain {
    /// Adds an existing snapshot; the lowest first.
    pub(crate) fn load(&mut self, id: i64, height: i64, entries: Entries) {
        self.nodes.push(Node { id, height, entries });
    }

    /// The newest snapshot: 0 for the empty state.
    pub(crate) fn newest(&self) -> i64 {
        self.nodes.last().map_or(0, |node| node.id)
    }

    /// Adds a change on top, as the snapshot `id`.
    pub(crate) fn push(&mut self, id: i64, key: (String, String), position: i64) -> Snapshot {
        let previous = self.newest();
        let height = self.nodes.last().map_or(0, |node| node.height) + 1;
        let mut entries = Entries::from([(key, position)]);
        while let Some(node) = self.nodes.pop_if(|node| node.height > parent_height(height)) {
            for (key, position) in node.entries {
                entries.entry(key).or_insert(position); // the nearest wins
            }
        }
        let parent = self.newest();
        self.nodes.push(Node { id, height, entries: entries.clone() });
        Snapshot { id, parent, height, previous, entries }
    }
}
