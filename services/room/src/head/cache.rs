//! The heads in memory: least recently used go first, accounted in bytes.

use std::sync::Arc;

use matrixon_store::Db;
use moka::sync::Cache;
use ruma::{OwnedRoomId, RoomId};
use tokio::sync::{Mutex, MutexGuard};

use super::{Head, MAX_STATE_ENTRIES};
use crate::error::RoomError;

/// The place of one room's head. Its lock is held to compute an event, never while one is committed.
pub(crate) struct Slot {
    head: Mutex<Option<Head>>,
    bytes: std::sync::atomic::AtomicUsize,
}

pub(crate) struct Heads {
    slots: Cache<OwnedRoomId, Arc<Slot>>,
}

/// A locked head.
pub(crate) struct Locked<'a> {
    guard: MutexGuard<'a, Option<Head>>,
    /// It was read from SQL just now: a rejection by it is final.
    pub(crate) is_fresh: bool,
}

impl Slot {
    fn new(head: Option<Head>) -> Arc<Self> {
        let bytes = head.as_ref().map_or(1_000, Head::bytes);
        Arc::new(Self { head: Mutex::new(head), bytes: bytes.into() })
    }

    /// The room's head, read from SQL where that is needed.
    pub(crate) async fn lock(&self, db: &Db, room_id: &RoomId) -> Result<Locked<'_>, RoomError> {
        let mut guard = self.head.lock().await;
        let is_fresh = match guard.as_mut() {
            None => {
                *guard = Some(Head::load(db, room_id).await?);
                true
            }
            Some(head) if head.stale || head.state.len() > MAX_STATE_ENTRIES => {
                head.refresh(db).await?;
                true
            }
            Some(_) => false,
        };
        Ok(Locked { guard, is_fresh })
    }

    /// The head for one who brings a new one.
    pub(crate) async fn exclusive(&self) -> MutexGuard<'_, Option<Head>> {
        self.head.lock().await
    }

    /// An append that was computed on this generation failed. Later generations stay.
    pub(crate) async fn invalidate(&self, generation: u64) {
        if let Some(head) = self.head.lock().await.as_mut()
            && head.generation == generation
        {
            head.stale = true;
        }
    }
}

impl Locked<'_> {
    pub(crate) fn head(&mut self) -> &mut Head {
        self.guard.as_mut().expect("a locked slot has a head")
    }
}

impl Heads {
    pub(crate) fn new(max_bytes: u64) -> Self {
        let weigh = |_: &OwnedRoomId, slot: &Arc<Slot>| {
            u32::try_from(slot.bytes.load(std::sync::atomic::Ordering::Relaxed)).unwrap_or(u32::MAX)
        };
        Self { slots: Cache::builder().max_capacity(max_bytes).weigher(weigh).build() }
    }

    pub(crate) fn slot(&self, room_id: &RoomId) -> Arc<Slot> {
        match self.slots.get(room_id) {
            Some(slot) => slot,
            None => self.slots.get_with(room_id.to_owned(), || Slot::new(None)),
        }
    }

    /// Tells the cache how big a head has become, where that matters.
    pub(crate) fn account(&self, slot: &Arc<Slot>, head: &Head) {
        use std::sync::atomic::Ordering;
        let (known, now) = (slot.bytes.load(Ordering::Relaxed), head.bytes());
        if now.abs_diff(known) > 4_096 {
            slot.bytes.store(now, Ordering::Relaxed);
            self.slots.insert(head.room_id.clone(), Arc::clone(slot));
        }
    }

    /// The head of a room that was just created.
    pub(crate) fn insert(&self, head: Head) {
        self.slots.insert(head.room_id.clone(), Slot::new(Some(head)));
    }
}
