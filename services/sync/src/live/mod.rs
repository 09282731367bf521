//! The live half: memory fed by the streams, users who are online here, and the bells that wake their requests.

pub(crate) mod beat;
pub(crate) mod device;
pub(crate) mod event;
pub(crate) mod heads;
pub(crate) mod items;
pub(crate) mod memory;
pub(crate) mod moves;
pub(crate) mod pump;
pub(crate) mod room;
pub(crate) mod state;
pub(crate) mod strangers;
pub(crate) mod tail;
pub(crate) mod typing;
pub(crate) mod user;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use matrixon_runtime::clock::Clock;
use matrixon_store::Db;
use parking_lot::RwLock;
use tokio::sync::{mpsc, watch};

use self::{
    heads::Refresher,
    memory::{Memory, MemoryLimits},
    user::{Bells, Present},
};
use crate::{error::SyncError, store, token::Token};

/// How long a request waits for the pump to catch up before it gives up with 503.
const CATCH_UP: Duration = Duration::from_secs(8);

pub(crate) struct Live {
    pub(crate) db: Db,
    pub(crate) clock: Clock,
    memory: RwLock<Memory>,
    /// Positions that SQL is known to have; the pump goes there.
    wanted: watch::Sender<Token>,
    /// What the memory has reached; None until the pump has read where the streams are.
    reached: watch::Sender<Option<Token>>,
    refresher: Refresher,
    /// Users whose devices changed and whose company is not known here.
    strangers: mpsc::Sender<Arc<str>>,
}

impl Live {
    /// With the queue of users for [`strangers::run`].
    pub(crate) fn new(db: Db, clock: Clock, limits: MemoryLimits) -> (Arc<Self>, mpsc::Receiver<Arc<str>>) {
        let (strangers, receiver) = mpsc::channel(strangers::QUEUE);
        let live = Self {
            db,
            clock,
            memory: RwLock::new(Memory::new(Token::default(), limits)),
            wanted: watch::Sender::new(Token::default()),
            reached: watch::Sender::new(None),
            refresher: Refresher::default(),
            strangers,
        };
        (Arc::new(live), receiver)
    }

    /// Has the pump begun, and is it near the end of the streams that we know of?
    pub(crate) fn is_caught_up(&self) -> bool {
        let wanted = *self.wanted.borrow();
        self.reached.borrow().is_some_and(|reached| wanted.events - reached.events < 1_000)
    }

    /// Looks at one moment of everything. Must be short.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&Memory) -> T) -> T {
        look(&self.memory.read())
    }

    /// Changes the memory, then rings the bells of those whom it concerns.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Memory, &mut Bells) -> T) -> T {
        let mut bells = Bells::new();
        let (result, heads) = {
            let mut memory = self.memory.write();
            let result = change(&mut memory, &mut bells);
            (result, memory.heads())
        };
        bells.sort_unstable_by_key(|bell| Arc::as_ptr(bell).addr());
        bells.dedup_by_key(|bell| Arc::as_ptr(bell).addr());
        for bell in &bells {
            bell.ring();
        }
        self.reached.send_if_modified(|reached| {
            let moved = reached.is_some_and(|reached| reached != heads);
            if moved {
                *reached = Some(heads);
            }
            moved
        });
        result
    }

    /// The pump knows where the streams are.
    fn begin(&self, heads: Token, limits: MemoryLimits) {
        *self.memory.write() = Memory::new(heads, limits);
        self.reached.send_replace(Some(heads));
    }

    /// Asks SQL where the streams are and catches up: afterwards everything that was acknowledged before the call, by
    /// whatever replica, is in memory.
    pub(crate) async fn refresh(&self) -> Result<(), SyncError> {
        let heads = self.refresher.heads(&self.db).await?;
        self.catch_up(heads).await
    }

    /// Waits until the memory has reached these positions.
    pub(crate) async fn catch_up(&self, target: Token) -> Result<(), SyncError> {
        let there = |reached: &Option<Token>| reached.is_some_and(|reached| reached.has_reached(target));
        if there(&self.reached.borrow()) {
            return Ok(());
        }
        self.want(target);
        let mut reached = self.reached.subscribe();
        let arrived = tokio::time::timeout(CATCH_UP, reached.wait_for(there)).await;
        match arrived {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(SyncError::Unavailable),
        }
    }

    /// Tells the pump how far the streams are.
    pub(crate) fn want(&self, heads: Token) {
        self.wanted.send_if_modified(|wanted| {
            let before = *wanted;
            *wanted = before.max(heads);
            *wanted != before
        });
    }

    /// Puts the user online; they stay so while the guard lives and for a while after.
    pub(crate) async fn online(&self, user_id: &Arc<str>) -> Result<Present, SyncError> {
        self.catch_up(Token::default()).await?;
        for _ in 0..3 {
            let now_ms = self.clock.now_ms();
            if let Some(present) = self.read(|memory| memory.user(user_id).map(|user| user.bell.enter(now_ms))) {
                return Ok(present);
            }
            let loaded = Box::pin(store::memberships::load_user(&self.db, user_id)).await?;
            let moment = Token { events: loaded.events, account_data: loaded.account_data, ..Token::default() };
            self.catch_up(moment).await?;
            // false: the tail ran past the load in the meantime, so load again
            self.change(|memory, _| memory.install_user(user_id, loaded));
        }
        Err(SyncError::Unavailable)
    }

    /// Puts a device online, which has to do with the streams of its own: messages, and the counts of its keys.
    pub(crate) async fn online_device(&self, number: i64) -> Result<Present, SyncError> {
        let enter = |memory: &Memory| memory.devices.find(number).map(|device| device.bell.enter(self.clock.now_ms()));
        if let Some(present) = self.read(enter) {
            return Ok(present);
        }
        // registered before SQL is asked: what comes after the answer is pushed
        let version = self.change(|memory, _| {
            memory.devices.register(number, self.clock.now_ms());
            memory.devices.keys_version(number)
        });
        let loaded = store::devices::load_device(&self.db, number).await?;
        self.change(|memory, _| memory.devices.install(number, loaded, version));
        self.read(enter).ok_or(SyncError::Unavailable)
    }

    /// The keys of a device as of a moment after the call, kept in memory unless they have changed meanwhile.
    pub(crate) async fn reload_keys(&self, number: i64) -> Result<Bytes, SyncError> {
        let version = self.read(|memory| memory.devices.keys_version(number));
        let keys = store::devices::load_keys(&self.db, number).await?;
        self.change(|memory, _| memory.devices.install_keys(number, keys.clone(), version));
        Ok(keys)
    }
}
