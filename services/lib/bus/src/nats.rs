//! The bus between processes: core NATS subjects.
//!
//! Three kinds of task: one sender, one forwarder per subscription, and [`control`], which knows when to say `Reset`.

mod control;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_nats::{Auth, Client, ConnectErrorKind, ConnectOptions, Message, ServerAddr, Statistics, connection::State};
use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use matrixon_runtime::{
    config::{Secret, find_distrust, read_authorities},
    network::without_credentials,
};
use parking_lot::Mutex;
use tokio::{sync::mpsc, task::JoinSet};
use tracing::{error, warn};

use self::control::{Control, Signals};
use crate::{BusError, Config, inbox::Inbox, metrics::METRICS};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Two of these unanswered end a connection that hangs.
const PING_INTERVAL: Duration = Duration::from_secs(1);
const MAX_RECONNECT_DELAY_MS: u64 = 500;
/// Commands in the client's own queue: small, because only our queue is accounted in bytes.
const CLIENT_CAPACITY: usize = 256;
/// Messages in the client's queue of a subscription, from where a forwarder takes them at once.
const SUBSCRIPTION_CAPACITY: usize = 8_192;
/// What a queued message costs beside its payload.
const OVERHEAD: usize = 128;
const SEND_BATCH: usize = 256;
/// Subscriptions not yet seen by [`control`].
const REGISTRATIONS: usize = 64;

#[derive(Debug)]
pub(crate) struct NatsBus {
    client: Client,
    statistics: Arc<Statistics>,
    places: Vec<Place>,
    credentials: Arc<Mutex<Credentials>>,
    outgoing: mpsc::Sender<Outgoing>,
    /// Bytes published and not yet written to the socket.
    queued: Arc<AtomicUsize>,
    registrations: mpsc::Sender<control::Registration>,
    send_buffer_bytes: usize,
    receive_buffer_bytes: usize,
    /// Sender and control; they end with the bus.
    _tasks: JoinSet<()>,
}

/// Host and port.
type Place = (String, u16);

fn places(servers: &[ServerAddr]) -> Vec<Place> {
    servers.iter().map(|server| (server.host().to_owned(), server.port())).collect()
}

/// What connections are made with. Without a user: what the first URL that names one says.
#[derive(Debug)]
struct Credentials {
    user: String,
    password: Secret,
}

impl Credentials {
    fn new(config: &Config, servers: &[ServerAddr]) -> Self {
        let in_url = servers.iter().find_map(|server| Some((server.username()?, server.password()?)));
        match in_url {
            Some((user, password)) if config.user.is_empty() => {
                Self { user: user.to_owned(), password: Secret::new(password) }
            }
            _ => Self { user: config.user.clone(), password: config.password.clone() },
        }
    }

    fn auth(&self) -> Auth {
        let mut auth = Auth::new();
        if !self.user.is_empty() {
            auth.username = Some(self.user.clone());
            auth.password = Some(self.password.expose().to_owned());
        }
        auth
    }
}

#[derive(Debug)]
struct Outgoing {
    subject: String,
    payload: Bytes,
    /// The connection it was published for: sent over a later one, it would come after that one's `Reset`.
    connection: u64,
}

impl Outgoing {
    fn cost(&self) -> usize {
        self.subject.len() + self.payload.len() + OVERHEAD
    }
}

impl NatsBus {
    pub(crate) async fn connect(config: &Config) -> Result<Self, BusError> {
        let signals = Arc::new(Signals::default());
        let servers = parse(&config.url)?;
        let places = places(&servers);
        let credentials = Arc::new(Mutex::new(Credentials::new(config, &servers)));
        let client = open(config, servers, &signals, &credentials).await?;
        let (outgoing, to_send) = mpsc::channel(config.send_buffer_bytes / OVERHEAD + 1);
        let (registrations, registered) = mpsc::channel(REGISTRATIONS);
        let queued = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        tasks.spawn(send(client.clone(), to_send, Arc::clone(&queued)));
        tasks.spawn(Control::new(client.clone(), signals, registered).run());
        Ok(Self {
            statistics: client.statistics(),
            client,
            places,
            credentials,
            outgoing,
            queued,
            registrations,
            send_buffer_bytes: config.send_buffer_bytes,
            receive_buffer_bytes: config.receive_buffer_bytes,
            _tasks: tasks,
        })
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    pub(crate) fn set_credentials(&self, config: &Config) -> Result<(), BusError> {
        let servers = parse(&config.url)?;
        if places(&servers) != self.places {
            return Err(BusError::OtherServers);
        }
        *self.credentials.lock() = Credentials::new(config, &servers);
        Ok(())
    }

    pub(crate) fn publish(&self, subject: &str, payload: Bytes) {
        METRICS.published.inc();
        if !self.is_connected() {
            METRICS.dropped_disconnected.inc();
            return;
        }
        let message =
            Outgoing { subject: subject.to_owned(), payload, connection: count_connections(&self.statistics) };
        let cost = message.cost();
        if self.queued.fetch_add(cost, Ordering::Relaxed) + cost > self.send_buffer_bytes {
            self.queued.fetch_sub(cost, Ordering::Relaxed);
            METRICS.dropped_send_buffer.inc();
        } else if self.outgoing.try_send(message).is_err() {
            // Not for want of room (the channel holds as many messages as the bytes allow): the runtime ends.
            METRICS.dropped_disconnected.inc();
        }
    }

    /// The queue, and the task that fills it for as long as it is held.
    pub(crate) fn subscribe(&self, subject: &str) -> (Arc<Inbox>, JoinSet<()>) {
        let inbox = Arc::new(Inbox::new(self.receive_buffer_bytes));
        let mut task = JoinSet::new();
        task.spawn(forward(self.client.clone(), subject.to_owned(), Arc::clone(&inbox), self.registrations.clone()));
        (inbox, task)
    }
}

fn parse(urls: &str) -> Result<Vec<ServerAddr>, BusError> {
    let parse_one = |url: &str| url.trim().parse::<ServerAddr>().ok().filter(|address| !address.host().is_empty());
    let addresses = urls.split(',').map(parse_one).collect::<Option<Vec<_>>>();
    addresses.filter(|_| urls.contains("://")).ok_or_else(|| BusError::Url { url: without_credentials(urls) })
}

/// Over TLS the first attempt is made here: what no later one would change (a certificate that is not trusted, authorities
/// that cannot be read) is to end the start.
async fn open(
    config: &Config,
    servers: Vec<ServerAddr>,
    signals: &Arc<Signals>,
    credentials: &Arc<Mutex<Credentials>>,
) -> Result<Client, BusError> {
    let mut options = options(signals, credentials);
    if let Some(path) = &config.ca_certificate {
        read_authorities("bus.ca_certificate", path)?;
        options = options.add_root_certificates(path.clone());
    }
    if config.ca_certificate.is_some() || servers.iter().any(ServerAddr::tls_required) {
        // the first one to say so wins, and everybody here says the same
        let _installed = rustls::crypto::ring::default_provider().install_default();
        // Also to servers that the first one tells of, whose addresses come without a scheme.
        options = options.require_tls(true);
        match options.clone().connect(servers.clone()).await {
            Ok(client) => return Ok(client),
            Err(error) => {
                if let Some(reason) = find_distrust(&error) {
                    return Err(BusError::Untrusted { url: without_credentials(&config.url), reason });
                }
                if error.kind() == ConnectErrorKind::Tls {
                    return Err(BusError::Client(error));
                }
                warn!(%error, "bus cannot be connected");
            }
        }
    }
    options.retry_on_initial_connect().connect(servers).await.map_err(BusError::Client)
}

fn options(signals: &Arc<Signals>, credentials: &Arc<Mutex<Credentials>>) -> ConnectOptions {
    let (signals, credentials) = (Arc::clone(signals), Arc::clone(credentials));
    ConnectOptions::with_auth_callback(move |_| std::future::ready(Ok(credentials.lock().auth())))
        .name("matrixon")
        .max_reconnects(None)
        .connection_timeout(CONNECT_TIMEOUT)
        .ping_interval(PING_INTERVAL)
        .client_capacity(CLIENT_CAPACITY)
        .subscription_capacity(SUBSCRIPTION_CAPACITY)
        .reconnect_delay_callback(reconnect_delay)
        .event_callback(move |event| {
            signals.take(&event);
            std::future::ready(())
        })
}

/// The first attempt at once, then 20, 40, 80 … ms.
fn reconnect_delay(attempts: usize) -> Duration {
    let doublings = attempts.saturating_sub(2).min(10) as u32;
    let delay = if attempts <= 1 { 0 } else { (20_u64 << doublings).min(MAX_RECONNECT_DELAY_MS) };
    Duration::from_millis(delay)
}

async fn send(client: Client, mut to_send: mpsc::Receiver<Outgoing>, queued: Arc<AtomicUsize>) {
    let statistics = client.statistics();
    let mut batch = Vec::with_capacity(SEND_BATCH);
    while to_send.recv_many(&mut batch, SEND_BATCH).await > 0 {
        let mut cost = 0;
        for message in batch.drain(..) {
            cost += message.cost();
            if message.connection != count_connections(&statistics) || client.connection_state() != State::Connected {
                METRICS.dropped_disconnected.inc();
                continue;
            }
            let Outgoing { subject, payload, .. } = message;
            if let Err(error) = client.publish(subject.clone(), payload).await {
                METRICS.dropped_refused.inc();
                warn!(subject, %error, "bus message refused");
            }
        }
        // Returns when the bytes are with the kernel: only then do they leave the account.
        if let Err(error) = client.flush().await {
            warn!(%error, "bus flush failed");
        }
        queued.fetch_sub(cost, Ordering::Relaxed);
    }
}

async fn forward(
    client: Client,
    subject: String,
    inbox: Arc<Inbox>,
    registrations: mpsc::Sender<control::Registration>,
) {
    let mut messages = match client.subscribe(subject.clone()).await {
        Ok(messages) => messages,
        Err(error) => {
            error!(subject, %error, "bus subscription refused");
            return;
        }
    };
    // Only now, behind the SUB in the client's queue, may control ask the server whether it is in force.
    if registrations.send(Arc::downgrade(&inbox)).await.is_err() {
        return;
    }
    let mut delivery = Delivery { subject: subject.into(), inbox: &inbox };
    loop {
        tokio::select! {
            message = messages.next() => match message {
                Some(message) => delivery.push(message),
                None => return,
            },
            () = inbox.reset_wanted() => {
                // What was received before the mark is here already, and goes first.
                while let Some(Some(message)) = tokio::task::unconstrained(messages.next()).now_or_never() {
                    delivery.push(message);
                }
                inbox.reset();
            }
        }
    }
}

struct Delivery<'a> {
    /// Of the last message, to be shared by those that follow.
    subject: Arc<str>,
    inbox: &'a Inbox,
}

impl Delivery<'_> {
    fn push(&mut self, message: Message) {
        if *self.subject != *message.subject {
            self.subject = message.subject.as_str().into();
        }
        self.inbox.push(Arc::clone(&self.subject), message.payload);
    }
}

/// Connections made so far.
fn count_connections(statistics: &Statistics) -> u64 {
    statistics.connects.load(Ordering::Acquire)
}
