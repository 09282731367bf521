//! What a response holds, gathered stream by stream from one moment of [`Memory`]. Pure: what is not in memory is named in
//! [`Missing`], loaded from SQL by the caller, and the gathering runs again.

mod account_data;
mod device_lists;
mod events;
mod receipts;
mod to_device;
mod typing;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use matrixon_rooms::Membership;

use crate::{
    filter::SyncFilter,
    live::{
        event::Event,
        items::{AccountData, Receipt},
        memory::{LoadedRoom, Memory},
        state::RoomState,
        user::{OnlineUser, Place},
    },
    store::to_device::{Batch, Message},
    token::Token,
};

pub(crate) use device_lists::{DeviceLists, LoadedLists};

/// Who asks for what.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) user_id: Arc<str>,
    pub(crate) device_id: Arc<str>,
    /// The device's interned number; 0: unknown, so that it has no inbox.
    pub(crate) device: i64,
    pub(crate) filter: Arc<SyncFilter>,
    pub(crate) since: Option<Token>,
    pub(crate) full_state: bool,
    /// State up to the end of the timeline, in `state_after`.
    pub(crate) state_after: bool,
}

/// One moment of everything a stream may look at.
pub(crate) struct View<'a> {
    pub(crate) ask: &'a Ask,
    pub(crate) memory: &'a Memory,
    pub(crate) user: &'a OnlineUser,
    pub(crate) loaded: &'a Loaded,
    /// The moment: what the response's token will say.
    pub(crate) now: Token,
    pub(crate) sent_members: &'a crate::response::lazy::SentMembers,
    /// What is told of keys to who has no device.
    pub(crate) no_keys: &'a Bytes,
}

/// One kind of data in /sync.
pub(crate) trait Stream: Sync {
    /// Everything as of now, for a client that knows nothing.
    fn complete(&self, view: &View<'_>, news: &mut News, missing: &mut Missing);

    /// What came after `since`.
    fn incremental(&self, view: &View<'_>, since: Token, news: &mut News, missing: &mut Missing);
}

/// In this order: events decide which rooms the others speak of.
const STREAMS: [&dyn Stream; 6] = [
    &events::Events,
    &account_data::AccountDataStream,
    &receipts::Receipts,
    &typing::TypingStream,
    &to_device::ToDevice,
    &device_lists::DeviceListStream,
];

/// `Err` names what must be loaded from SQL first.
pub(crate) fn gather(view: &View<'_>) -> Result<News, Box<Missing>> {
    let mut news = News { next: view.now, ..News::default() };
    let mut missing = Missing::default();
    for stream in STREAMS {
        match view.ask.since {
            Some(since) => stream.incremental(view, since, &mut news, &mut missing),
            None => stream.complete(view, &mut news, &mut missing),
        }
    }
    match keys(view) {
        Some(keys) => news.keys = keys,
        None => missing.keys = true,
    }
    if missing.is_empty() { Ok(news) } else { Err(Box::new(missing)) }
}

fn keys(view: &View<'_>) -> Option<Bytes> {
    if view.ask.device == 0 {
        return Some(view.no_keys.clone());
    }
    let device = view.memory.devices.find(view.ask.device);
    device.and_then(|device| device.keys().cloned()).or_else(|| view.loaded.keys.clone())
}

/// The content of a response.
#[derive(Debug, Default)]
pub(crate) struct News {
    pub(crate) next: Token,
    pub(crate) joined: BTreeMap<Arc<str>, JoinedRoom>,
    pub(crate) left: BTreeMap<Arc<str>, LeftRoom>,
    pub(crate) invited: BTreeMap<Arc<str>, Vec<Bytes>>,
    pub(crate) knocked: BTreeMap<Arc<str>, Vec<Bytes>>,
    pub(crate) account_data: Vec<Arc<AccountData>>,
    pub(crate) to_device: Vec<Message>,
    pub(crate) device_lists: DeviceLists,
    /// Members of the response that tell of the device's keys.
    pub(crate) keys: Bytes,
    /// Rooms joined since the last sync: sent as a client sees them that knows nothing.
    pub(crate) newly_joined: HashSet<Arc<str>>,
}

impl News {
    pub(crate) fn is_empty(&self) -> bool {
        self.joined.is_empty()
            && self.left.is_empty()
            && self.invited.is_empty()
            && self.knocked.is_empty()
            && self.account_data.is_empty()
            && self.to_device.is_empty()
            && self.device_lists.is_empty()
    }

    pub(crate) fn joined(&mut self, room_id: &Arc<str>) -> &mut JoinedRoom {
        self.joined.entry(room_id.clone()).or_default()
    }
}

#[derive(Debug, Default)]
pub(crate) struct JoinedRoom {
    pub(crate) timeline: Option<Timeline>,
    pub(crate) state: StateSection,
    pub(crate) summary: Option<Summary>,
    pub(crate) account_data: Vec<Arc<AccountData>>,
    pub(crate) receipts: Vec<Arc<Receipt>>,
    /// Users typing now, if that changed.
    pub(crate) typing: Option<Vec<String>>,
}

#[derive(Debug, Default)]
pub(crate) struct LeftRoom {
    pub(crate) timeline: Timeline,
    pub(crate) state: StateSection,
}

#[derive(Debug, Default)]
pub(crate) struct Timeline {
    pub(crate) events: Vec<Arc<Event>>,
    pub(crate) limited: bool,
    /// Position before the first event, for `prev_batch`.
    pub(crate) before: i64,
    /// The reader's place in the room, for their membership at each event.
    pub(crate) place: Option<Place>,
}

impl Timeline {
    /// The reader's membership at the event of that index; None where the timeline does not tell.
    pub(crate) fn membership_at(&self, index: usize, user_id: &str) -> Option<Membership> {
        let place = self.place?;
        if self.events.get(index)?.position >= place.position {
            return Some(place.membership);
        }
        let own = |event: &&Arc<Event>| event.is_membership_of(user_id);
        if let Some(last) = self.events[..=index].iter().rev().find(own) {
            return last.membership;
        }
        let next = self.events[index..].iter().find(own)?;
        Some(next.previous_membership().unwrap_or(Membership::Leave))
    }
}

#[derive(Debug, Default)]
pub(crate) enum StateSection {
    #[default]
    Nothing,
    /// All of it, as it is.
    Whole(Arc<RoomState>),
    Events(Vec<Arc<Event>>),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    /// None: the room has a name of its own.
    pub(crate) heroes: Option<Vec<Arc<str>>>,
    pub(crate) joined: usize,
    pub(crate) invited: usize,
}

/// What memory does not have.
#[derive(Debug, Default)]
pub(crate) struct Missing {
    /// State, newest events (this many) and receipts of rooms.
    pub(crate) rooms: BTreeMap<Arc<str>, (i64, usize)>,
    /// Newest events (this many) after `since` and up to a position, with the state that changed before them.
    pub(crate) gaps: BTreeMap<Arc<str>, Gap>,
    /// The requester's memberships over time.
    pub(crate) histories: BTreeMap<Arc<str>, i64>,
    /// Stripped state of invited or knocked rooms.
    pub(crate) stripped: BTreeMap<Arc<str>, i64>,
    /// Rooms left, with the position of the leave and the number of events.
    pub(crate) left: BTreeMap<Arc<str>, Gap>,
    /// The requester's forgotten rooms.
    pub(crate) forgotten: bool,
    /// The requester's account data, all of it.
    pub(crate) account_data: bool,
    /// The same, after a position.
    pub(crate) account_data_since: Option<i64>,
    /// Receipts of joined rooms after a position.
    pub(crate) receipts_since: Option<i64>,
    /// Messages of the requesting device after a position.
    pub(crate) inbox: Option<i64>,
    /// The keys of the requesting device.
    pub(crate) keys: bool,
    /// The rooms of these users.
    pub(crate) company: BTreeSet<Arc<str>>,
    /// Who shares rooms with the requester that did not, who no longer does, and whose devices changed.
    pub(crate) device_lists: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Gap {
    pub(crate) room: i64,
    pub(crate) since: i64,
    pub(crate) upto: i64,
    pub(crate) limit: usize,
}

impl Missing {
    pub(crate) fn is_empty(&self) -> bool {
        self.is_about_device() && self.inbox.is_none() && !self.keys
    }

    /// Is nothing missing but what the device has of its own? That takes one short statement.
    pub(crate) fn is_about_device(&self) -> bool {
        self.rooms.is_empty()
            && self.gaps.is_empty()
            && self.histories.is_empty()
            && self.stripped.is_empty()
            && self.left.is_empty()
            && !self.forgotten
            && !self.account_data
            && self.account_data_since.is_none()
            && self.receipts_since.is_none()
            && self.company.is_empty()
            && !self.device_lists
    }
}

/// What was loaded from SQL for one response.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) rooms: HashMap<Arc<str>, LoadedRoom>,
    pub(crate) gaps: HashMap<Arc<str>, LoadedGap>,
    pub(crate) histories: HashMap<Arc<str>, Vec<(i64, Membership)>>,
    pub(crate) stripped: HashMap<Arc<str>, Vec<Bytes>>,
    pub(crate) left: HashMap<Arc<str>, LoadedLeft>,
    pub(crate) forgotten: Option<HashSet<i64>>,
    pub(crate) account_data: Option<(i64, Vec<Arc<AccountData>>)>,
    pub(crate) account_data_since: Option<(i64, Vec<Arc<AccountData>>)>,
    pub(crate) receipts_since: Option<(i64, Vec<Arc<Receipt>>)>,
    pub(crate) inbox: Option<Batch>,
    pub(crate) keys: Option<Bytes>,
    pub(crate) device_lists: Option<LoadedLists>,
}

/// Events of a room between two positions, the newest of them.
#[derive(Debug, Default)]
pub(crate) struct LoadedGap {
    /// `events` are all of the room in (low, upto].
    pub(crate) low: i64,
    pub(crate) upto: i64,
    pub(crate) events: Vec<Arc<Event>>,
    /// The latest state event of every key in (since, low].
    pub(crate) changed: Vec<Arc<Event>>,
}

/// A room as its former member last saw it.
#[derive(Debug, Default)]
pub(crate) struct LoadedLeft {
    /// The newest events up to the leave, and whether there are none before them.
    pub(crate) events: Vec<Arc<Event>>,
    pub(crate) complete: bool,
    pub(crate) state: Arc<RoomState>,
}
