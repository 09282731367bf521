//! The room service: the room DAG. It is the only writer of PDUs; every append goes through one path
//! ([`timeline`]) that ends in a group commit ([`store`]). The HTTP slice is in [`http`].
#![forbid(unsafe_code)]

mod aliases;
pub mod config;
mod consumers;
mod create;
mod departures;
mod directory;
mod error;
mod head;
mod http;
mod membership;
mod metrics;
mod mutual;
mod power;
mod profiles;
mod propagation;
mod read;
mod reports;
mod service;
mod store;
mod tasks;
#[cfg(test)]
mod tests;
mod timeline;

use std::sync::Arc;

use matrixon_bus::Bus;
use matrixon_http::{RouteInfo, Verifier};
use matrixon_matrix::{RoomVersion, Signer};
use matrixon_rpc::Peers;
use matrixon_runtime::{clock::Clock, role::Role, shutdown::Shutdown};
use matrixon_store::Db;
use ruma::{OwnedServerName, signatures::Ed25519KeyPair};

use self::service::{Parts, Room};
pub use self::{config::Config, error::RoomError};

/// What this service is built from.
pub struct Deps {
    pub db: Db,
    pub bus: Bus,
    pub peers: Peers,
    pub verifier: Verifier,
    pub clock: Clock,
    pub server_name: OwnedServerName,
    pub signing_key: Arc<Ed25519KeyPair>,
    pub shutdown: Shutdown,
}

/// The running service: its HTTP slice and gRPC in one router for the cluster listener.
pub struct Service {
    pub router: axum::Router,
    /// Gives back what it holds when the process drains; await it last.
    pub tasks: tokio::task::JoinHandle<()>,
}

#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("room.default_room_version is `{0}`: this server makes rooms of versions 10, 11 and 12")]
    RoomVersion(String),
}

/// The routes of this service, for the gateway's table.
pub fn routes() -> Vec<RouteInfo> {
    http::routes().table()
}

/// Must be called within a tokio runtime: the group commit runs as a task, until the router is dropped.
#[expect(clippy::unused_async, reason = "every service is built the same way, and it spawns tasks")]
pub async fn build(config: &Config, deps: Deps) -> Result<Service, BuildError> {
    if RoomVersion::find(&config.default_room_version).is_none() {
        return Err(BuildError::RoomVersion(config.default_room_version.clone()));
    }
    metrics::init();
    let Deps { db, bus, peers, verifier, clock, server_name, signing_key, shutdown } = deps;
    let auth = peers.role(Role::Auth);
    let room = Room::new(Parts {
        config: config.clone(),
        db,
        bus,
        signer: Signer { server_name, key: signing_key },
        clock,
        peers: Some(peers),
    });
    tokio::spawn(departures::run(room.clone(), auth, shutdown.clone()));
    let tasks = tasks::start(&room, &shutdown);
    let router = http::routes().into_router(room, verifier);
    Ok(Service { router, tasks })
}
