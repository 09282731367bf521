//! Accounts, passwords, user-interactive authentication, access and refresh tokens, devices, profiles.
//!
//! Clients reach it through `http/` (forwarded by the gateway), peers through `rpc/` (`proto/auth/v1`). Every end of a
//! session is appended to the `revocations` stream in the transaction that ends it: on that gateways build their
//! caches.
#![forbid(unsafe_code)]

mod accounts;
pub mod admin;
mod audit;
mod backup;
pub mod config;
mod error;
mod http;
mod keys;
mod metrics;
mod outbox;
mod profiles;
mod rendezvous;
mod rpc;
mod sessions;
mod state;
mod store;
mod tasks;
#[cfg(test)]
mod tests;
mod uia;

use std::sync::Arc;

use matrixon_bus::Bus;
use matrixon_cache::Cache;
use matrixon_http::{RouteInfo, Verifier};
use matrixon_runtime::{clock::Clock, shutdown::Shutdown};
use matrixon_store::{
    Db,
    streams::{Appender, Limits},
};
use ruma::OwnedServerName;

use self::{accounts::password::Passwords, keys::claim_writer::ClaimWriter, state::Auth};
pub use self::{audit::chain as audit_chain, config::Config, error::AuthError};

/// What this service is built from.
pub struct Deps {
    pub db: Db,
    pub cache: Cache,
    pub bus: Bus,
    pub clock: Clock,
    pub server_name: OwnedServerName,
    /// Where clients reach this server, for `well_known` in the answer to a log-in.
    pub client_base_url: Option<String>,
    pub verifier: Verifier,
    pub shutdown: Shutdown,
}

/// The running service: its HTTP slice and gRPC in one router for the cluster listener.
pub struct Service {
    pub router: axum::Router,
    /// Writes what is still pending once the process stops; await it last.
    pub tasks: tokio::task::JoinHandle<()>,
}

#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("{0}")]
    Config(String),
}

/// The routes of this service, for the gateway's table.
pub fn routes() -> Vec<RouteInfo> {
    [http::routes().table(), rpc::admin::routes()].concat()
}

#[cfg_attr(not(test), expect(clippy::unused_async, reason = "the same shape for every service"))]
pub async fn build(config: &Config, deps: Deps) -> Result<Service, BuildError> {
    metrics::init();
    let (verifier, shutdown) = (deps.verifier.clone(), deps.shutdown.clone());
    let auth = build_state(config, deps)?;
    let tasks = tokio::spawn(tasks::run(auth.clone(), shutdown));
    let router = http::routes().into_router(auth.clone(), verifier.clone()).merge(rpc::router(auth, verifier));
    Ok(Service { router, tasks })
}

/// The gRPC services alone, without background work: for a command that acts on the database itself.
pub fn build_rpc(config: &Config, deps: Deps) -> Result<axum::Router, BuildError> {
    let verifier = deps.verifier.clone();
    Ok(rpc::router(build_state(config, deps)?, verifier))
}

fn build_state(config: &Config, deps: Deps) -> Result<Auth, BuildError> {
    let passwords = Passwords::new(&config.password).map_err(BuildError::Config)?;
    let claims = ClaimWriter { bus: deps.bus.clone(), clock: deps.clock.clone() };
    let claims = Appender::spawn(deps.db.clone(), claims, Limits::default());
    Ok(Auth(Arc::new(state::Shared {
        db: deps.db,
        cache: deps.cache,
        bus: deps.bus,
        clock: deps.clock,
        server_name: deps.server_name,
        client_base_url: deps.client_base_url,
        config: config.clone(),
        passwords,
        last_seen: sessions::last_seen::LastSeen::default(),
        claims,
    })))
}
