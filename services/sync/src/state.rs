//! What every handler of this service shares.

use std::{ops::Deref, sync::Arc, time::Duration};

use bytes::Bytes;
use matrixon_bus::Bus;
use matrixon_cache::Cache;
use matrixon_runtime::{clock::Clock, shutdown::Shutdown};
use matrixon_store::{Db, streams::Appender};
use moka::sync::Cache as Memo;
use tokio::sync::Semaphore;

use crate::{
    append::{AccountDataWriter, ReceiptWriter},
    config::Config,
    filter::SyncFilter,
    live::Live,
    response::lazy::SentMembers,
    to_device::writer::{Acknowledger, ToDeviceWriter},
};

/// Responses that read much from SQL at the same time; more of them wait, and find what the first ones loaded.
const LOADERS: usize = 4;
const DEVICE_LOADERS: usize = 16;
const IDLE: Duration = Duration::from_hours(1);

/// Token → the device that it was given to, for ever: a device that is made again is given another token.
pub(crate) type DeviceNumbers = Memo<[u8; 32], i64>;

#[derive(Clone)]
pub(crate) struct Sync(pub(crate) Arc<Shared>);

impl Deref for Sync {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

pub(crate) struct Shared {
    pub(crate) live: Arc<Live>,
    pub(crate) db: Db,
    pub(crate) cache: Cache,
    pub(crate) bus: Bus,
    pub(crate) clock: Clock,
    pub(crate) config: Config,
    pub(crate) shutdown: Shutdown,
    pub(crate) receipts: Appender<ReceiptWriter>,
    pub(crate) account_data: Appender<AccountDataWriter>,
    /// (user, filter id) → filter. Filters never change.
    pub(crate) filters: Filters,
    /// (user, device) → members it was sent. Losing an entry sends members once more.
    pub(crate) sent_members: SentToDevices,
    pub(crate) loaders: Semaphore,
    /// The same for short look-ups that a device needs.
    pub(crate) device_loaders: Semaphore,
    pub(crate) to_device: Appender<ToDeviceWriter>,
    pub(crate) acknowledgements: Appender<Acknowledger>,
    pub(crate) device_numbers: DeviceNumbers,
    /// What is told of keys to who has no device.
    pub(crate) no_keys: Bytes,
}

pub(crate) type Filters = Memo<(Arc<str>, i64), Arc<SyncFilter>>;
pub(crate) type SentToDevices = Memo<(Arc<str>, Arc<str>), Arc<SentMembers>>;

pub(crate) fn filters() -> Filters {
    Memo::builder().max_capacity(10_000).time_to_idle(IDLE).build()
}

pub(crate) fn sent_members() -> SentToDevices {
    Memo::builder().max_capacity(2_000).time_to_idle(IDLE).build()
}

/// For responses, and for devices.
pub(crate) fn loaders() -> (Semaphore, Semaphore) {
    (Semaphore::new(LOADERS), Semaphore::new(DEVICE_LOADERS))
}
