//! The edge: everything that clients and other servers see first.
//!
//! It knows who asks (identity), how often they may (limits) and where requests go (the route table, made of the
//! services' own registrations), and forwards them with a signed assertion of all that. It owns no data.
#![forbid(unsafe_code)]

mod address;
mod config;
mod edge;
mod identity;
mod limit;
mod local;
mod table;
pub mod tls;

use std::sync::Arc;

use matrixon_bus::Bus;
use matrixon_cache::Cache;
use matrixon_http::{RouteInfo, Signer};
use matrixon_rpc::Peers;
use matrixon_runtime::{
    clock::Clock,
    config::{ClusterConfig, ServerConfig},
    role::Role,
    shutdown::Shutdown,
};

pub use self::{
    config::{Config, Limit, RateLimits, WellKnown},
    edge::Edge,
    table::TableError,
};
use self::{edge::Side, identity::Identity, limit::Limiter, local::Documents, table::Table};

/// What the gateway is built on.
pub struct Deps {
    pub peers: Peers,
    pub bus: Bus,
    pub cache: Cache,
    /// The routes of every service, whether it runs in this process or not.
    pub routes: Vec<RouteInfo>,
    pub cluster: ClusterConfig,
    pub server: ServerConfig,
    pub shutdown: Shutdown,
    pub clock: Clock,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Table(#[from] TableError),
    #[error("`server.client_base_url` is `{0}`; it must begin with https:// or http://")]
    ClientBaseUrl(String),
    #[error(
        "`gateway.admin_token` is too short; it needs at least 32 characters, for example from `openssl rand -hex 32`"
    )]
    AdminToken,
}

/// A secret that everybody may guess at must be long.
const ADMIN_TOKEN_CHARS: usize = 32;

/// The gateway of a process: serve [`Service::client`] and [`Service::federation`] on their listeners.
pub struct Service {
    pub client: Edge,
    pub federation: Edge,
    /// For the listener at [`Config::admin_listen`].
    pub admin: Edge,
    limiter: Limiter,
    signer: Signer,
}

impl Service {
    /// What changes the secret that identities are asserted with.
    pub fn secret_setter(&self) -> impl Fn(&[u8]) + Send + Sync + 'static {
        let signer = self.signer.clone();
        move |secret| signer.set_secret(secret)
    }

    /// For SIGHUP.
    pub fn set_rate_limits(&self, limits: RateLimits) {
        self.limiter.set_limits(limits);
    }

    /// What changes the rate limits, without the rest.
    pub fn rate_limits_setter(&self) -> impl Fn(RateLimits) + Send + Sync + 'static {
        let limiter = self.limiter.clone();
        move |limits| limiter.set_limits(limits)
    }
}

/// Builds the gateway and starts following the revocations. Must run within a tokio runtime.
#[cfg_attr(not(test), expect(clippy::unused_async, reason = "every service is built alike, within a runtime"))]
pub async fn build(config: &Config, deps: Deps) -> Result<Service, Error> {
    let Deps { peers, bus, cache, routes, cluster, server, shutdown, clock } = deps;
    if let Some(url) = server.client_base_url.as_ref().filter(|url| !url.starts_with("http")) {
        return Err(Error::ClientBaseUrl(url.clone()));
    }
    if !config.admin_token.is_empty() && config.admin_token.expose().chars().count() < ADMIN_TOKEN_CHARS {
        return Err(Error::AdminToken);
    }
    let identity = Identity::new(peers.role(Role::Auth), config, clock.clone());
    let bell = bus.subscribe(identity::SUBJECT);
    tokio::spawn(identity::follow(identity.clone(), bell, shutdown.clone()));
    tokio::spawn(identity::report(identity.clone(), shutdown.clone()));
    let limiter = Limiter::new(cache, config.rate_limits.clone());
    let signer = Signer::new(cluster.secret.expose().as_bytes());
    let parts = Arc::new(edge::Parts {
        config: config.clone(),
        table: Table::new(routes)?,
        documents: Documents::new(config, &server),
        identity,
        admin_token: edge::admin::AdminToken::new(&config.admin_token),
        refusals: edge::refusals::Refusals::new(),
        limiter: limiter.clone(),
        signer: signer.clone(),
        peers,
        shutdown,
        clock,
        unmatched: edge::unmatched_metrics(),
    });
    Ok(Service {
        client: Edge::new(parts.clone(), Side::Client),
        federation: Edge::new(parts.clone(), Side::Federation),
        admin: Edge::new(parts, Side::Admin),
        limiter,
        signer,
    })
}
