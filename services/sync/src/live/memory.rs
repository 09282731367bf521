//! Everything this replica knows without asking SQL, behind one lock: the newest items of every stream, warm rooms,
//! and the users who are online here.
//!
//! ```text
//!             floor                                   head
//!   stream  ····│■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■■│       all events of all rooms after `floor` are here
//!   room A  ··□□│□─■──────■───■──────────────■─────────│       warm: its newest events stay, with state and receipts
//!   room B  ····│───────■──────────────────────■───────│       not warm: only what the tail holds
//! ```
//! The pump writes, syncs read. A reader sees one moment of all streams: that is the snapshot of its response.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use matrixon_rooms::Membership;

use super::{
    device::Devices,
    event::Event,
    items::{AccountData, DeviceListChange, Receipt},
    moves::Move,
    room::{RoomMemory, Warm, step},
    state::RoomState,
    tail::Tail,
    typing::Typing,
    user::{Bells, IGNORED_USERS, LoadedUser, Online, OnlineUser, Place, ignored_users},
};
use crate::token::Token;

#[derive(Clone, Copy, Debug)]
pub(crate) struct MemoryLimits {
    /// Newest items of the streams, bytes of each.
    pub(crate) tail_bytes: usize,
    /// States and newest events of warm rooms, bytes together.
    pub(crate) warm_bytes: usize,
}

#[derive(Debug)]
pub(crate) struct Memory {
    limits: MemoryLimits,
    rooms: HashMap<Arc<str>, RoomMemory>,
    /// The tail of the events stream, as it came.
    order: VecDeque<Arc<Event>>,
    order_bytes: usize,
    floor: i64,
    head: i64,
    warm_bytes: usize,
    tick: AtomicU64,
    pub(crate) receipts: Tail<Receipt>,
    pub(crate) account_data: Tail<AccountData>,
    pub(crate) device_lists: Tail<DeviceListChange>,
    /// Of the events: who began or ceased to be where.
    pub(crate) moves: Tail<Move>,
    pub(crate) typing: Typing,
    pub(crate) online: Online,
    pub(crate) devices: Devices,
}

/// A room as SQL had it.
#[derive(Clone, Debug)]
pub(crate) struct LoadedRoom {
    /// `events` are all of the room after `floor`, up to `upto`.
    pub(crate) floor: i64,
    pub(crate) upto: i64,
    pub(crate) events: Vec<Arc<Event>>,
    /// The state at `upto`.
    pub(crate) state: Arc<RoomState>,
    pub(crate) receipts: Vec<Arc<Receipt>>,
    pub(crate) receipts_upto: i64,
}

impl Memory {
    /// Starts at positions read from SQL, knowing nothing of what came before.
    pub(crate) fn new(heads: Token, limits: MemoryLimits) -> Self {
        Self {
            limits,
            rooms: HashMap::new(),
            order: VecDeque::new(),
            order_bytes: 0,
            floor: heads.events,
            head: heads.events,
            warm_bytes: 0,
            tick: AtomicU64::new(1),
            receipts: Tail::new(heads.receipts, limits.tail_bytes / 4),
            account_data: Tail::new(heads.account_data, limits.tail_bytes / 4),
            device_lists: Tail::new(heads.device_lists, limits.tail_bytes / 8),
            moves: Tail::new(heads.events, limits.tail_bytes / 8),
            typing: Typing::default(),
            online: Online::default(),
            devices: Devices::new(heads.to_device, heads.key_counts),
        }
    }

    pub(crate) fn heads(&self) -> Token {
        Token {
            events: self.head,
            account_data: self.account_data.head(),
            receipts: self.receipts.head(),
            typing_ms: self.typing.last_ms(),
            to_device: self.devices.to_device,
            device_lists: self.device_lists.head(),
            key_counts: self.devices.key_counts,
        }
    }

    pub(crate) fn user(&self, user_id: &str) -> Option<&OnlineUser> {
        self.online.find(user_id)
    }

    pub(crate) fn room(&self, room_id: &str) -> Option<&RoomMemory> {
        self.rooms.get(room_id)
    }

    /// The room's state, receipts and newest events, if it is warm.
    pub(crate) fn warm_room(&self, room_id: &str) -> Option<(&RoomMemory, &Warm)> {
        let room = self.rooms.get(room_id)?;
        let warm = room.warm.as_ref()?;
        warm.touch(self.tick.fetch_add(1, Ordering::Relaxed));
        Some((room, warm))
    }

    /// All events of the room after `position`, ascending; None if some are no longer here.
    pub(crate) fn events_since(&self, room_id: &str, position: i64) -> Option<Vec<Arc<Event>>> {
        match self.rooms.get(room_id) {
            Some(room) if room.floor <= position => Some(room.since(position).cloned().collect()),
            Some(_) => None,
            None => (self.floor <= position).then(Vec::new),
        }
    }

    /// The next event of the stream. What is not news is ignored.
    pub(crate) fn push_event(&mut self, event: Event, bells: &mut Bells) {
        if event.position <= self.head {
            return;
        }
        self.head = event.position;
        let mut event = Arc::new(event);
        let floor = self.floor;
        let room = self.rooms.entry(event.room_id.clone()).or_insert_with(|| RoomMemory::new(floor));
        if let Some(warm) = &mut room.warm {
            let before = warm.state.bytes();
            event = step(&mut warm.state, event);
            let after = warm.state.bytes();
            warm.bytes = (warm.bytes + after).saturating_sub(before);
            self.warm_bytes = (self.warm_bytes + after).saturating_sub(before);
        }
        room.events.push_back(event.clone());
        room.trim(floor);
        if let (Some(Membership::Leave | Membership::Ban), Some(user_id)) = (event.membership, &event.state_key) {
            self.typing.leave(&event.room_id, user_id);
        }
        if let Some(found) = Move::of(&event) {
            self.moves.push(Arc::new(found));
        }
        self.online.move_member(&event, bells);
        self.online.ring_room(&event.room_id, bells);
        self.order_bytes += event.bytes();
        self.order.push_back(event);
        self.trim();
    }

    /// Every event up to here was pushed or does not exist.
    pub(crate) fn reach_event(&mut self, position: i64) {
        self.head = self.head.max(position);
    }

    pub(crate) fn push_receipt(&mut self, receipt: Receipt, bells: &mut Bells) {
        let receipt = Arc::new(receipt);
        if !self.receipts.push(receipt.clone()) {
            return;
        }
        if receipt.is_visible_to("") {
            self.online.ring_room(&receipt.room_id, bells);
        } else {
            self.online.ring_user(&receipt.user_id, bells);
        }
        if let Some(warm) = self.rooms.get_mut(&receipt.room_id).and_then(|room| room.warm.as_mut()) {
            put_receipt(&mut warm.receipts, receipt);
        }
    }

    pub(crate) fn push_account_data(&mut self, item: AccountData, bells: &mut Bells) {
        let item = Arc::new(item);
        if !self.account_data.push(item.clone()) {
            return;
        }
        self.online.ring_user(&item.user_id, bells);
        if &*item.data_type == IGNORED_USERS && item.room_id.is_empty() {
            self.online.ignore(&item.user_id, &item.content);
        }
    }

    /// Rings for everybody who is in a room with the user. False if it is not known here in which rooms those are.
    pub(crate) fn push_device_list(&mut self, change: DeviceListChange, bells: &mut Bells) -> bool {
        let change = Arc::new(change);
        if !self.device_lists.push(change.clone()) {
            return true;
        }
        if change.visible_to.is_empty() {
            return self.online.ring_company(&change.user_id, bells);
        }
        self.online.ring_user(&change.visible_to, bells);
        true
    }

    /// The event was redacted: whatever is kept of it gets these bytes.
    pub(crate) fn redact(&mut self, event_id: &str, json: &Bytes, redaction: &Event) {
        if let Some(room) = self.rooms.get_mut(&redaction.room_id) {
            room.redact(event_id, json, &redaction.json);
        }
    }

    /// Puts a user online whose rooms were loaded at a moment that this memory has reached.
    /// False if the tail no longer reaches back to it: load again.
    pub(crate) fn install_user(&mut self, user_id: &Arc<str>, loaded: LoadedUser) -> bool {
        if self.online.find(user_id).is_some() {
            return true;
        }
        let Some(mut newer) = self.account_data.since(loaded.account_data) else { return false };
        if loaded.events < self.floor || loaded.events > self.head {
            return false;
        }
        let ignored = newer
            .rfind(|item| *item.user_id == **user_id && item.room_id.is_empty() && &*item.data_type == IGNORED_USERS)
            .map_or(loaded.ignored, |item| Some(item.content.clone()));
        let mut rooms: HashMap<Arc<str>, Place> = loaded.rooms.into_iter().collect();
        let start = self.order.partition_point(|event| event.position <= loaded.events);
        for event in self.order.range(start..).filter(|event| event.is_membership_of(user_id)) {
            let Some(membership) = event.membership else { continue };
            let place = Place { room: event.room, membership, position: event.position };
            rooms.insert(event.room_id.clone(), place);
        }
        let ignored = ignored.map(|content| ignored_users(&content)).unwrap_or_default();
        self.online.add(user_id, rooms, ignored);
        true
    }

    /// Makes a room warm with what SQL had at a moment that this memory has reached.
    /// False if the tail no longer reaches back to it.
    pub(crate) fn install_room(&mut self, room_id: &Arc<str>, loaded: &LoadedRoom) -> bool {
        let Some(newer) = self.events_since(room_id, loaded.upto) else { return false };
        let Some(receipts) = self.receipts.since(loaded.receipts_upto) else { return false };
        // what was redacted since then was loaded with its content
        if loaded.upto > self.head || newer.iter().any(|event| event.is_redaction()) {
            return false;
        }
        let mut all = loaded.receipts.clone();
        for receipt in receipts.filter(|receipt| receipt.room_id == *room_id) {
            put_receipt(&mut all, receipt.clone());
        }
        let mut state = loaded.state.clone();
        let mut events: VecDeque<_> = loaded.events.iter().cloned().collect();
        events.extend(newer.into_iter().map(|event| step(&mut state, event)));
        let warm = Warm::new(state, all, &events);
        warm.touch(self.tick.fetch_add(1, Ordering::Relaxed));
        self.warm_bytes += warm.bytes;
        let replaced = self.rooms.insert(room_id.clone(), RoomMemory { floor: loaded.floor, events, warm: Some(warm) });
        if let Some(old) = replaced {
            self.warm_bytes -= old.warm.map_or(0, |warm| warm.bytes);
            self.keep_deeper_tail(room_id, old.events);
        }
        self.cool();
        true
    }

    /// The tail may reach further back than what was loaded; steady syncs need that.
    fn keep_deeper_tail(&mut self, room_id: &str, old: VecDeque<Arc<Event>>) {
        let tail_floor = self.floor;
        let Some(room) = self.rooms.get_mut(room_id) else { return };
        if room.floor <= tail_floor {
            return;
        }
        for event in old.into_iter().rev().filter(|event| event.position <= room.floor) {
            room.events.push_front(event);
        }
        room.floor = tail_floor;
        room.trim(tail_floor);
    }

    /// Too much is warm: the rooms that were not used for longest go back to what the tail holds.
    fn cool(&mut self) {
        if self.warm_bytes <= self.limits.warm_bytes {
            return;
        }
        let used = |room: &RoomMemory| room.warm.as_ref().map(|warm| warm.used.load(Ordering::Relaxed));
        let mut rooms: Vec<_> = self.rooms.iter().filter_map(|(id, room)| Some((used(room)?, id.clone()))).collect();
        rooms.sort_unstable();
        for (_, room_id) in rooms {
            if self.warm_bytes <= self.limits.warm_bytes / 5 * 4 {
                break;
            }
            let Some(room) = self.rooms.get_mut(&room_id) else { continue };
            self.warm_bytes -= room.warm.take().map_or(0, |warm| warm.bytes);
            room.trim(self.floor);
            if room.events.is_empty() {
                self.rooms.remove(&room_id);
            }
        }
    }

    /// Keeps the tail within its bytes.
    fn trim(&mut self) {
        while self.order_bytes > self.limits.tail_bytes {
            let Some(oldest) = self.order.pop_front() else { break };
            self.order_bytes -= oldest.bytes();
            self.floor = oldest.position;
            let Some(room) = self.rooms.get_mut(&oldest.room_id) else { continue };
            room.trim(self.floor);
            if room.events.is_empty() && room.warm.is_none() {
                self.rooms.remove(&oldest.room_id);
            }
        }
    }
}

fn put_receipt(receipts: &mut Vec<Arc<Receipt>>, receipt: Arc<Receipt>) {
    match receipts.iter_mut().find(|known| known.same_key(&receipt)) {
        Some(known) => *known = receipt,
        None => receipts.push(receipt),
    }
}
