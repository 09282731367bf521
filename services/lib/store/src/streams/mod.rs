//! Streams: append-only, totally ordered, gapless sequences of changes. The heart of Matrixon.
//!
//! # Why a reader that sees position `p` has seen everything up to `p`
//! A writer takes its positions with [`Tx::advance`] as the last step of its transaction. The row lock on the
//! counter is held until COMMIT, so the next writer gets its positions only after this one is visible:
//! **commit order equals position order**. A rolled-back writer rolls the counter back with it: no gap.
//!
//! ```text
//!   writer A   begin … insert rows … advance(+2) → 5,6 ── insert ── COMMIT
//!   writer B   begin … insert rows … advance(+1) ·····waits·········└→ 7 ── insert ── COMMIT
//!   reader     sees head 4, or 6, or 7; never 7 without 5 and 6
//! ```
//!
//! Order of locks, the same in every transaction: room rows by id, then stream counters in the order of
//! [`Stream::ALL`]. Nothing waits for the network while holding them.
//!
//! # The two halves
//! - [`Appender`]: *group commit*. While one commit is in flight the next appends of this replica gather, and
//!   go out in one transaction. An idle replica commits a single append at once.
//! - [`Follower`]: a reader's position, fed by bells from the bus (fast, lossy) and heads from SQL (slow, true);
//!   it says what can be delivered and which ranges must be loaded.
//!
//! Work that must be done once for every position, whatever dies meanwhile, is a durable [`consumer`].

mod appender;
pub mod consumer;
mod follower;

use std::fmt;

pub use appender::{AppendError, Appender, Limits, Pending, StreamWriter, Verdicts};
pub use follower::{Follower, Step};

use crate::{Db, StoreError, Tx, sql};

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stream(&'static str);

impl Stream {
    pub const EVENTS: Self = Self("events");
    pub const RECEIPTS: Self = Self("receipts");
    pub const ACCOUNT_DATA: Self = Self("account_data");
    /// Ends of sessions, for the gateways' token caches.
    pub const REVOCATIONS: Self = Self("revocations");
    /// Messages from device to device.
    pub const TO_DEVICE: Self = Self("to_device");
    /// Whose devices or cross-signing keys changed.
    pub const DEVICE_LISTS: Self = Self("device_lists");
    /// Which profile fields changed.
    pub const PROFILES: Self = Self("profiles");
    /// Of which devices the counts of one-time keys, or the unused fallback keys, changed.
    pub const KEY_COUNTS: Self = Self("key_counts");

    /// Also the order in which a transaction that appends to several streams locks them.
    pub const ALL: [Self; 8] = [
        Self::EVENTS,
        Self::RECEIPTS,
        Self::ACCOUNT_DATA,
        Self::REVOCATIONS,
        Self::TO_DEVICE,
        Self::DEVICE_LISTS,
        Self::PROFILES,
        Self::KEY_COUNTS,
    ];

    pub const fn name(self) -> &'static str {
        self.0
    }

    /// The bus subject on which its bell is rung.
    pub fn subject(self) -> String {
        format!("matrixon.{}.v1", self.0)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Tx {
    /// Takes the next `count` positions of a stream and returns the first. Every later writer of the stream now waits
    /// for this transaction: insert the rows and commit at once.
    pub async fn advance(&mut self, stream: Stream, count: usize) -> Result<i64, StoreError> {
        let count = count as i64;
        let (last,) = sql!(
            self.ex(),
            fetch_one as (i64,),
            "update stream_positions set position = position + $1 where stream = $2 returning position",
            count,
            stream.0
        )?;
        Ok(last - count + 1)
    }
}

/// The last committed position of every stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heads {
    pub events: i64,
    pub receipts: i64,
    pub account_data: i64,
    pub revocations: i64,
    pub to_device: i64,
    pub device_lists: i64,
    pub profiles: i64,
    pub key_counts: i64,
}

/// Reads the heads in one statement, hence as of one moment.
pub async fn heads(db: &Db) -> Result<Heads, StoreError> {
    let rows = sql!(db.read(), fetch_all as (String, i64), "select stream, position from stream_positions")?;
    let mut heads = Heads::default();
    for (stream, position) in rows {
        match stream.as_str() {
            "events" => heads.events = position,
            "receipts" => heads.receipts = position,
            "account_data" => heads.account_data = position,
            "revocations" => heads.revocations = position,
            "to_device" => heads.to_device = position,
            "device_lists" => heads.device_lists = position,
            "profiles" => heads.profiles = position,
            "key_counts" => heads.key_counts = position,
            _ => {} // of a newer version
        }
    }
    Ok(heads)
}

/// The last committed position of one stream.
pub async fn head(db: &Db, stream: Stream) -> Result<i64, StoreError> {
    let (position,) =
        sql!(db.read(), fetch_one as (i64,), "select position from stream_positions where stream = $1", stream.0)?;
    Ok(position)
}
