//! Everything per user: /sync, filters, account data, receipts, typing, messages to devices and whose devices changed; later
//! push and presence.
//!
//! `live/` follows the streams and holds what is new in memory, `streams/` gathers from it what one client has not seen,
//! `response/` writes that as JSON, `poll.rs` waits when there is nothing, `store/` is SQL.
#![forbid(unsafe_code)]

mod account_data;
mod append;
pub mod config;
mod consumers;
mod device_lists;
mod devices;
mod directory;
mod erased;
mod error;
mod filter;
mod filters;
mod http;
mod janitor;
mod json;
mod live;
mod load;
mod metrics;
mod old_sync;
mod poll;
mod receipts;
mod response;
mod state;
mod store;
mod streams;
#[cfg(test)]
mod tests;
mod to_device;
mod token;
mod typing;

use std::sync::Arc;

use matrixon_bus::Bus;
use matrixon_cache::Cache;
use matrixon_http::{RouteInfo, Verifier};
use matrixon_runtime::{clock::Clock, shutdown::Shutdown};
use matrixon_store::{
    Db,
    streams::{Appender, Limits},
};
use tokio::{sync::mpsc, task::JoinSet};

pub use self::config::Config;
use self::{
    append::{AccountDataWriter, Bellman, ReceiptWriter},
    janitor::Janitor,
    live::{Live, beat, memory::MemoryLimits, pump, strangers},
    state::{Shared, Sync},
    to_device::writer::{Acknowledger, ToDeviceWriter},
};

/// What this service is built from.
pub struct Deps {
    pub db: Db,
    pub cache: Cache,
    pub bus: Bus,
    pub clock: Clock,
    pub verifier: Verifier,
    pub shutdown: Shutdown,
}

/// The running service: its HTTP slice for the cluster listener.
pub struct Service {
    pub router: axum::Router,
    /// End when the process has stopped.
    pub tasks: JoinSet<()>,
    live: Arc<Live>,
}

impl Service {
    /// For readiness: does memory follow the streams closely?
    pub fn caught_up(&self) -> impl Fn() -> bool + Clone + Send + std::marker::Sync + 'static {
        let live = self.live.clone();
        move || live.is_caught_up()
    }
}

/// The routes of this service, for the gateway's table.
pub fn routes() -> Vec<RouteInfo> {
    http::routes().table()
}

/// Starts following the streams. The database need not answer yet: requests wait for it, then get 503.
pub fn build(config: &Config, deps: Deps) -> Service {
    let Deps { db, cache, bus, clock, verifier, shutdown } = deps;
    let limits = MemoryLimits { tail_bytes: config.tail_bytes, warm_bytes: config.room_cache_bytes };
    let (live, strangers) = Live::new(db.clone(), clock.clone(), limits);
    let (checks, queue) = mpsc::channel(janitor::QUEUE);
    let janitor =
        Janitor { db: db.clone(), clock: clock.clone(), inbox_limit: config.to_device_inbox_limit, checks: queue };
    let mut tasks = JoinSet::new();
    tasks.spawn(pump::run(live.clone(), bus.clone(), cache.clone(), limits, shutdown.clone()));
    tasks.spawn(strangers::run(live.clone(), strangers, shutdown.clone()));
    tasks.spawn(beat::run(live.clone(), bus.clone(), config.clone(), shutdown.clone()));
    tasks.spawn(janitor::run(janitor, shutdown.clone()));
    consumers::start(&db, &bus, &shutdown, &mut tasks);
    let bellman = || Bellman { bus: bus.clone(), live: live.clone() };
    let (loaders, device_loaders) = state::loaders();
    let shared = Shared {
        receipts: Appender::spawn(db.clone(), ReceiptWriter(bellman()), Limits::default()),
        account_data: Appender::spawn(db.clone(), AccountDataWriter(bellman()), Limits::default()),
        to_device: Appender::spawn(db.clone(), ToDeviceWriter { bellman: bellman(), checks }, Limits::default()),
        acknowledgements: Appender::spawn(db.clone(), Acknowledger, Limits::default()),
        live: live.clone(),
        db,
        cache,
        bus,
        clock,
        config: config.clone(),
        shutdown,
        filters: state::filters(),
        sent_members: state::sent_members(),
        loaders,
        device_loaders,
        device_numbers: devices::numbers(),
        no_keys: response::no_keys(),
    };
    Service { router: http::routes().into_router(Sync(Arc::new(shared)), verifier), tasks, live }
}
