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
mod mail;
mod metrics;
mod outbox;
mod pages;
mod profiles;
mod rendezvous;
mod rpc;
mod sessions;
mod state;
mod store;
mod tasks;
#[cfg(test)]
mod tests;
mod threepids;
mod uia;

use std::sync::Arc;

use futures::future::join3;
use matrixon_bus::Bus;
use matrixon_cache::Cache;
use matrixon_egress::Egress;
use matrixon_http::{RouteInfo, Verifier};
use matrixon_runtime::{clock::Clock, shutdown::Shutdown};
use matrixon_store::{
    Db,
    streams::{Appender, Limits},
};
use ruma::{OwnedServerName, signatures::Ed25519KeyPair};

use self::{
    accounts::password::Passwords,
    keys::{claim_writer::ClaimWriter, keyring::Keyring, known_queues::KnownQueues},
    mail::Mailer,
    state::Auth,
    threepids::identity_servers::IdentityServers,
    uia::captcha::Captcha,
};
pub use self::{audit::chain as audit_chain, config::Config, error::AuthError};

/// What this service is built from.
pub struct Deps {
    pub db: Db,
    pub cache: Cache,
    pub bus: Bus,
    pub clock: Clock,
    pub server_name: OwnedServerName,
    /// Under requests to identity servers. A command on the database itself makes none.
    pub signing_key: Option<Arc<Ed25519KeyPair>>,
    /// What requests to captcha providers and identity servers may reach.
    pub egress: matrixon_egress::Config,
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

/// Those with whom we speak.
struct Outside {
    mailer: Mailer,
    identity_servers: IdentityServers,
    captcha: Option<Captcha>,
}

impl Outside {
    fn new(config: &Config, deps: &Deps) -> Result<Self, BuildError> {
        let needed = config.captcha.is_enabled() || !config.identity_servers.is_empty();
        let egress = needed.then(|| Egress::new(&deps.egress)).transpose();
        let egress = egress.map_err(|error| BuildError::Config(error.to_string()))?;
        let mailer = Mailer::new(&config.email, &deps.server_name, deps.client_base_url.as_deref());
        Ok(Self {
            mailer: mailer.map_err(BuildError::Config)?,
            identity_servers: IdentityServers::new(&config.identity_servers, egress.clone(), deps.signing_key.clone()),
            captcha: egress.filter(|_| config.captcha.is_enabled()).map(|egress| Captcha::new(&config.captcha, egress)),
        })
    }
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
    let (claims, stop) = (auth.clone(), shutdown.clone());
    let work = join3(
        tasks::run(auth.clone(), shutdown.clone()),
        Box::pin(mail::run(auth.clone(), shutdown)),
        Box::pin(async move { claims.known_queues.follow(&claims.db, &stop).await }),
    );
    let tasks = tokio::spawn(async move {
        work.await;
    });
    let router = http::routes().into_router(auth.clone(), verifier.clone()).merge(rpc::router(auth, verifier));
    Ok(Service { router, tasks })
}

/// The gRPC services alone, without background work: for a command that acts on the database itself.
pub fn build_rpc(config: &Config, deps: Deps) -> Result<axum::Router, BuildError> {
    let verifier = deps.verifier.clone();
    Ok(rpc::router(build_state(config, deps)?, verifier))
}

fn build_state(config: &Config, deps: Deps) -> Result<Auth, BuildError> {
    config.check(deps.client_base_url.as_deref()).map_err(BuildError::Config)?;
    let parts = Outside::new(config, &deps)?;
    let passwords = Passwords::new(&config.password).map_err(BuildError::Config)?;
    let known_queues = Arc::new(KnownQueues::default());
    let writer = ClaimWriter { bus: deps.bus.clone(), clock: deps.clock.clone(), known: Arc::clone(&known_queues) };
    let claims = Appender::spawn(deps.db.clone(), writer, Limits::default());
    let keyring = Keyring::new(u64::from(config.keys_cache_mib) << 20);
    Ok(Auth(Arc::new(state::Shared {
        db: deps.db,
        cache: deps.cache,
        bus: deps.bus,
        clock: deps.clock,
        server_name: deps.server_name,
        client_base_url: deps.client_base_url,
        config: config.clone(),
        passwords,
        mailer: parts.mailer,
        identity_servers: parts.identity_servers,
        captcha: parts.captcha,
        last_seen: sessions::last_seen::LastSeen::default(),
        claims,
        known_queues,
        keyring,
    })))
}
