//! The state that every handler of the room service shares.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use matrixon_bus::Bus;
use matrixon_matrix::Signer;
use matrixon_rpc::Peers;
use matrixon_runtime::clock::Clock;
use matrixon_store::{
    Db,
    streams::{Appender, Limits},
};

use crate::{config::Config, head::Heads, profiles::Profiles, store::EventsWriter};

/// A handle; clones share everything.
#[derive(Clone)]
pub(crate) struct Room(Arc<RoomInner>);

pub(crate) struct RoomInner {
    pub(crate) config: Config,
    pub(crate) db: Db,
    pub(crate) bus: Bus,
    pub(crate) appender: Appender<EventsWriter>,
    pub(crate) heads: Heads,
    pub(crate) signer: Signer,
    pub(crate) clock: Clock,
    pub(crate) profiles: Profiles,
    last_creation_ms: AtomicI64,
}

impl std::ops::Deref for Room {
    type Target = RoomInner;

    fn deref(&self) -> &RoomInner {
        &self.0
    }
}

/// What a [`Room`] is made from.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) db: Db,
    pub(crate) bus: Bus,
    pub(crate) signer: Signer,
    pub(crate) clock: Clock,
    /// None: profiles are not looked up (tests of the write path).
    pub(crate) peers: Option<Peers>,
}

impl Room {
    /// Must be called within a tokio runtime: the group commit is a task.
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { config, db, bus, signer, clock, peers } = parts;
        let limits = Limits { queued_items: config.queued_items, batch_items: config.batch_items, ..Limits::default() };
        Self(Arc::new(RoomInner {
            appender: Appender::spawn(db.clone(), EventsWriter::new(bus.clone()), limits),
            heads: Heads::new(config.head_cache_mib << 20),
            profiles: Profiles::new(peers),
            last_creation_ms: AtomicI64::new(0),
            config,
            db,
            bus,
            signer,
            clock,
        }))
    }

    /// The time, but never the same twice: two rooms of one creator with the same create event would be the same room.
    pub(crate) fn creation_ms(&self) -> i64 {
        let now = self.clock.now_ms();
        let previous = self.last_creation_ms.fetch_max(now, Ordering::AcqRel);
        if previous < now { now } else { self.last_creation_ms.fetch_add(1, Ordering::AcqRel) + 1 }
    }

    pub(crate) fn is_local(&self, server_name: &ruma::ServerName) -> bool {
        server_name == self.signer.server_name
    }
}
