//! What this process knows of queues of one-time keys, so that a claim looks few of them up.

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
};

use foldhash::{HashMap, HashSet};

/// Queues, and bytes of keys, that are remembered; beyond them everything is forgotten.
const MAX_QUEUES: usize = 200_000;
const MAX_BYTES: usize = 64 << 20;

/// How many keys are read ahead for each claim that there was of a queue, and at most.
const AHEAD: i64 = 4;
const MAX_AHEAD: i64 = 32;

/// What a claim gave, by its place in the log. A log without this row is not the one that was read before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub seq: i64,
    pub request: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub key_id: String,
    pub json: String,
}

impl Key {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.key_id.len() + self.json.len()
    }
}

/// Keys `first` to `last` of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Range {
    pub queue: i64,
    pub first: i64,
    pub last: i64,
}

#[derive(Debug, Default)]
struct Queue {
    /// The number that is given next. At least: what others give is in the log.
    next: i64,
    /// At least: nothing tells of uploads. 0: known from the log only.
    ends: i64,
    /// How many claims of this process it was in.
    uses: i64,
    /// The number of the first of `keys`.
    first: i64,
    /// Without a gap.
    keys: VecDeque<Key>,
}

impl Queue {
    /// How many bytes of keys of before `number` were forgotten.
    fn forget(&mut self, number: i64) -> usize {
        let before = usize::try_from(number - self.first).unwrap_or_default().min(self.keys.len());
        self.first += before as i64;
        self.keys.drain(..before).map(|key| key.bytes()).sum()
    }

    /// The number of the first key that is not at hand.
    fn after_keys(&self) -> i64 {
        if self.keys.is_empty() { self.next } else { self.first + self.keys.len() as i64 }
    }
}

/// Given in a transaction that has not ended.
#[derive(Debug, Default)]
struct Pending {
    /// Of the last grant. None: there is none.
    place: Option<Place>,
    /// Queues and their next numbers.
    next: HashMap<i64, i64>,
}

/// Queues as they are in the database, or were: `next` and `ends` only grow, and a key never changes.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    last: Option<Place>,
    queues: HashMap<i64, Queue>,
    /// By algorithm and device.
    ids: HashMap<String, HashMap<i64, i64>>,
    /// Of the keys of all.
    bytes: usize,
    pending: Pending,
    /// What was claimed of since the last refill.
    worn: HashSet<i64>,
}

impl Queues {
    /// Up to where the log is known.
    pub(crate) fn last(&self) -> Option<&Place> {
        self.last.as_ref()
    }

    /// To be called before anything is taken. Forgets everything when it is too much, and when the last transaction ended
    /// without [`Self::commit`].
    pub(crate) fn begin(&mut self) {
        if self.pending.place.is_some() || self.queues.len() > MAX_QUEUES || self.bytes > MAX_BYTES {
            *self = Self::default();
        }
        self.pending = Pending::default();
    }

    /// What somebody gave.
    pub(crate) fn absorb(&mut self, place: Place, given: &[(i64, i64)]) {
        for (queue, number) in given {
            self.pass(*queue, number + 1);
        }
        if self.last.as_ref().is_none_or(|last| last.seq < place.seq) {
            self.last = Some(place);
        }
    }

    fn pass(&mut self, id: i64, next: i64) {
        let queue = self.queues.entry(id).or_default();
        queue.next = queue.next.max(next);
        self.bytes -= queue.forget(next);
    }

    /// A queue as its row is.
    pub(crate) fn insert(&mut self, algorithm: &str, device: i64, id: i64, (next, ends): (i64, i64)) {
        self.pass(id, next);
        let queue = self.queues.entry(id).or_default();
        queue.ends = queue.ends.max(ends);
        if let Some(ids) = self.ids.get_mut(algorithm) {
            ids.insert(device, id);
        } else {
            self.ids.entry(algorithm.to_owned()).or_default().insert(device, id);
        }
    }

    fn find(&self, algorithm: &str, device: i64) -> Option<(i64, &Queue)> {
        let id = *self.ids.get(algorithm)?.get(&device)?;
        Some((id, self.queues.get(&id)?))
    }

    /// Those devices whose queues must be looked up to know whether so many keys are there.
    pub(crate) fn list_short(&self, algorithm: &str, wanted: &BTreeMap<i64, i64>) -> Vec<i64> {
        let is_short = |(device, count): &(&i64, &i64)| {
            self.find(algorithm, **device).is_none_or(|(_, queue)| queue.next + **count > queue.ends)
        };
        wanted.iter().filter(is_short).map(|(device, _)| *device).collect()
    }

    /// Takes the next number of each device that has one: (device, queue, number). Nothing is taken before [`Self::commit`].
    pub(crate) fn take(&mut self, algorithm: &str, devices: &[i64]) -> Vec<(i64, i64, i64)> {
        let mut pending = mem::take(&mut self.pending);
        let mut taken = Vec::with_capacity(devices.len());
        for device in devices {
            let Some((id, queue)) = self.find(algorithm, *device) else { continue };
            let next = pending.next.entry(id).or_insert(queue.next);
            if *next < queue.ends {
                taken.push((*device, id, *next));
                *next += 1;
            }
        }
        self.pending = pending;
        taken
    }

    /// Where in the log it is, once it is committed, what was taken last.
    pub(crate) fn set_place(&mut self, place: Place) {
        self.pending.place = Some(place);
    }

    /// What was taken is given.
    pub(crate) fn commit(&mut self) {
        let Pending { place: Some(place), next } = mem::take(&mut self.pending) else { return };
        for (id, next) in &next {
            self.pass(*id, *next);
            if let Some(queue) = self.queues.get_mut(id) {
                queue.uses += 1;
            }
        }
        self.worn.extend(next.into_keys());
        self.last = Some(place);
    }

    pub(crate) fn has_key(&self, queue: i64, number: i64) -> bool {
        let has = |queue: &Queue| queue.first <= number && number < queue.first + queue.keys.len() as i64;
        self.queues.get(&queue).is_some_and(has)
    }

    /// Forgets the key that it returns, and those before it.
    pub(crate) fn remove_key(&mut self, queue: i64, number: i64) -> Option<Key> {
        let queue = self.queues.get_mut(&queue)?;
        self.bytes -= queue.forget(number);
        if queue.first != number {
            return None;
        }
        let key = queue.keys.pop_front()?;
        queue.first += 1;
        self.bytes -= key.bytes();
        Some(key)
    }

    /// Remembers a key that is still to be given, of a queue that is known.
    pub(crate) fn insert_key(&mut self, queue: i64, number: i64, key: Key) {
        let Some(queue) = self.queues.get_mut(&queue).filter(|queue| number >= queue.next) else { return };
        if queue.keys.is_empty() {
            queue.first = number;
        }
        if number == queue.first + queue.keys.len() as i64 {
            self.bytes += key.bytes();
            queue.keys.push_back(key);
        }
    }

    /// What is worth reading ahead: keys of queues that were claimed of more than once, the more the more often.
    pub(crate) fn list_worn(&mut self) -> Vec<Range> {
        let mut ranges = Vec::new();
        for id in mem::take(&mut self.worn) {
            let Some(queue) = self.queues.get(&id).filter(|queue| queue.uses > 1) else { continue };
            let first = queue.after_keys();
            let ahead = (AHEAD * queue.uses).min(MAX_AHEAD);
            if first < queue.ends.min(queue.next + ahead / 2) {
                ranges.push(Range { queue: id, first, last: queue.ends.min(queue.next + ahead) - 1 });
            }
        }
        ranges.sort_unstable();
        ranges
    }
}
