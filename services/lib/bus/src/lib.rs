//! The bell: what was written to a stream is announced on the bus, and whoever waits for it looks.
//!
//! The bus may lose anything. Whoever subscribes is told [`BusEvent::Reset`] whenever something may have been missed,
//! and then reads what it needs from SQL (streams) or the cache (typing). Publishing never waits.
#![forbid(unsafe_code)]

mod config;
mod inbox;
mod local;
mod metrics;
mod nats;
mod subject;

use std::sync::Arc;

use bytes::Bytes;
pub use config::Config;
use inbox::Inbox;
use matrixon_runtime::config::BadAuthorities;

/// Why a bus could not be set up. An absent server is none: the bus keeps trying.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    #[error("`bus.url` must be `local`, `nats://HOST:PORT` or `tls://HOST:PORT`, not `{url}`")]
    Url { url: String },
    #[error("`bus.url` names other servers now, which a restart is needed for")]
    OtherServers,
    #[error(transparent)]
    Authorities(#[from] BadAuthorities),
    #[error(
        "the certificate of `bus.url`, {url}, is not trusted: {reason}; give the authority that signed it in \
         `bus.ca_certificate`, and in the URL a name that it is for"
    )]
    Untrusted { url: String, reason: String },
    #[error("the NATS client could not be set up: {0}")]
    Client(#[source] async_nats::ConnectError),
}

/// What a subscription delivers, in this order: what was sent before a loss, `Reset`, what was sent after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusEvent {
    Message {
        subject: Arc<str>,
        payload: Bytes,
    },
    /// Messages may have been missed: the first connection, a reconnection, or a consumer that was too slow.
    /// From here on nothing is missed until the next `Reset`, so read what there is now.
    Reset,
}

/// One bus: NATS between processes, or queues within this one. Clones share it.
#[derive(Clone, Debug)]
pub struct Bus(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Local(Arc<local::LocalBus>),
    Nats(Arc<nats::NatsBus>),
}

impl Bus {
    /// Sets the bus up and returns at once, over TLS after the first attempt; the connection is made, and made again, in the
    /// background. Fails only when the configuration makes no sense, which a certificate that is not trusted shows too.
    pub async fn connect(config: &Config) -> Result<Self, BusError> {
        if config.url == "local" {
            return Ok(Self(Kind::Local(Arc::new(local::LocalBus::new(config)))));
        }
        nats::NatsBus::connect(config).await.map(|bus| Self(Kind::Nats(Arc::new(bus))))
    }

    /// From now on connections are made with this user and password; the one there is lives on.
    pub fn set_credentials(&self, config: &Config) -> Result<(), BusError> {
        match &self.0 {
            Kind::Local(_) => Ok(()),
            Kind::Nats(bus) => bus.set_credentials(config),
        }
    }

    /// Fire and forget. Never blocks and never waits for the network: what cannot be sent soon is dropped
    /// and counted in `matrixon_bus_dropped_total{reason}`.
    pub fn publish(&self, subject: &str, payload: Bytes) {
        match &self.0 {
            Kind::Local(bus) => bus.publish(subject, &payload),
            Kind::Nats(bus) => bus.publish(subject, payload),
        }
    }

    /// Subscribes to a subject; NATS's wildcards (`*` one token, `>` the rest) work. The first event is `Reset`,
    /// delivered as soon as the subscription is known to be in force.
    pub fn subscribe(&self, subject: &str) -> Subscription {
        match &self.0 {
            Kind::Local(bus) => Subscription { inbox: bus.subscribe(subject), _source: Source::Local(Arc::clone(bus)) },
            Kind::Nats(bus) => {
                let (inbox, task) = bus.subscribe(subject);
                Subscription { inbox, _source: Source::Nats(Arc::clone(bus), task) }
            }
        }
    }

    /// Whether publishing reaches anyone else now. Only for show: readiness must not depend on it.
    pub fn is_connected(&self) -> bool {
        match &self.0 {
            Kind::Local(_) => true,
            Kind::Nats(bus) => bus.is_connected(),
        }
    }
}

/// A subscription; dropping it ends it.
#[derive(Debug)]
pub struct Subscription {
    inbox: Arc<Inbox>,
    _source: Source,
}

/// What must live as long as the subscription does.
#[derive(Debug)]
#[expect(dead_code, reason = "held for their Drop")]
enum Source {
    Local(Arc<local::LocalBus>),
    Nats(Arc<nats::NatsBus>, tokio::task::JoinSet<()>),
}

impl Subscription {
    /// The next event. It never ends: while the bus is away it waits. Cancelling it loses nothing.
    pub async fn next(&mut self) -> BusEvent {
        self.inbox.next().await
    }
}
