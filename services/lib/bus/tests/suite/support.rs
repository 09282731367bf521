//! A bus of either kind, and how to wait for what it does.

use std::{
    fmt::Display,
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use matrixon_bus::{Bus, BusEvent, Config, Subscription};
use matrixon_testkit::{
    process,
    servers::{Nats, tls},
};
use tempfile::TempDir;

/// Far more than anything here takes; only a failing test waits that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Fixture {
    pub(crate) config: Config,
    /// The directory after its server: it goes when nobody writes to it any more.
    nats: Option<(Arc<Nats>, TempDir)>,
    local: Option<Bus>,
}

impl Fixture {
    pub(crate) fn local() -> Self {
        Self { config: Config::default(), nats: None, local: None }
    }

    pub(crate) fn nats() -> Self {
        Self::start(tempfile::tempdir().expect("a directory"))
    }

    /// With a configuration of its own.
    pub(crate) fn nats_configured(configuration: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("nats.conf"), configuration).expect("it is written");
        Self::start(directory)
    }

    fn start(directory: TempDir) -> Self {
        let nats = persistently(directory.path(), || Nats::start_in(directory.path()));
        let config = Config { url: nats.url(), ..Config::default() };
        Self { config, nats: Some((Arc::new(nats), directory)), local: None }
    }

    pub(crate) fn nats_over_tls() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let nats = persistently(directory.path(), || Nats::start_with_tls(directory.path()));
        let authority = directory.path().join("authority.crt");
        fs::write(&authority, tls::AUTHORITY).expect("it is written");
        let config = Config { url: nats.url(), ca_certificate: Some(authority), ..Config::default() };
        Self { config, nats: Some((Arc::new(nats), directory)), local: None }
    }

    pub(crate) fn server(&self) -> Arc<Nats> {
        Arc::clone(&self.nats.as_ref().expect("a test of NATS").0)
    }

    /// The running server takes another configuration.
    pub(crate) fn configure(&self, configuration: &str) {
        let (server, directory) = self.nats.as_ref().expect("a test of NATS");
        fs::write(directory.path().join("nats.conf"), configuration).expect("it is written");
        let pid = server.pid().expect("it runs");
        process::signal(pid, process::Signal::HUP).expect("it is told");
    }

    /// What another process would have: with NATS a connection of its own.
    pub(crate) async fn bus(&mut self) -> Bus {
        if let Some(bus) = &self.local {
            return bus.clone();
        }
        let bus = Bus::connect(&self.config).await.expect("the configuration is right");
        if self.nats.is_none() {
            self.local = Some(bus.clone());
        } else if self.server().pid().is_some() {
            until("the bus is connected", || bus.is_connected()).await;
        }
        bus
    }
}

pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub(crate) async fn next(subscription: &mut Subscription) -> BusEvent {
    tokio::time::timeout(PATIENCE, subscription.next()).await.expect("an event in time")
}

/// Skips to the next `Reset`.
pub(crate) async fn wait_reset(subscription: &mut Subscription) {
    let reset = async { while subscription.next().await != BusEvent::Reset {} };
    tokio::time::timeout(PATIENCE, reset).await.expect("a reset in time");
}

pub(crate) async fn subscribe(bus: &Bus, subject: &str) -> Subscription {
    let mut subscription = bus.subscribe(subject);
    assert_eq!(next(&mut subscription).await, BusEvent::Reset, "the first event");
    subscription
}

pub(crate) fn numbered(number: u64, length: usize) -> Bytes {
    let mut payload = vec![0; length.max(8)];
    payload[..8].copy_from_slice(&number.to_be_bytes());
    payload.into()
}

/// The number of a message, `None` for `Reset`.
pub(crate) fn number(event: &BusEvent) -> Option<u64> {
    match event {
        BusEvent::Message { payload, .. } => Some(u64::from_be_bytes(payload[..8].try_into().expect("8 bytes"))),
        BusEvent::Reset => None,
    }
}

pub(crate) fn dropped(reason: &str) -> u64 {
    let name = format!("matrixon_bus_dropped_total{{reason=\"{reason}\"}} ");
    let text = matrixon_runtime::metrics::gather();
    text.lines().find_map(|line| line.strip_prefix(&name)).map_or(0, |count| count.parse().expect("a number"))
}

impl Drop for Fixture {
    /// Ends what [`persistently`] may have overlooked, also when a test panics; the server itself ends by its own drop.
    fn drop(&mut self) {
        if let Some((_, directory)) = &self.nats {
            for pid in process::list_owned(directory.path()) {
                let _ = process::kill(pid, directory.path());
            }
        }
    }
}

/// Starts a server until it runs. Its daemons are recognised by their environment, which cannot be read in the middle
/// of exec and exit: a start may be taken for failed while the server runs, an end for complete while it has its port.
pub(crate) fn persistently<T, E: Display>(directory: &Path, start: impl Fn() -> Result<T, E>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        match start() {
            Ok(started) => return started,
            Err(error) => assert!(Instant::now() < end, "{error}"),
        }
        for pid in process::list_owned(directory) {
            process::kill(pid, directory).expect("it is killed");
        }
    }
}
