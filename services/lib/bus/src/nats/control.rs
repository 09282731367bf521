//! Says `Reset` at the right moment.
//!
//! A subscription is in force once the server has read its SUB, and a `Reset` delivered earlier would let a message
//! fall between the subscriber's look at SQL and the subscription. The server handles the commands of a connection in
//! order, so a *mark* that we publish to ourselves behind the SUBs, and get back, proves them all. Every registration
//! and every new connection is followed by a mark; when it returns, those that waited for it are told `Reset`.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_nats::{Client, Event, Statistics, Subscriber, connection::State};
use bytes::Bytes;
use futures::StreamExt;
use tokio::{
    sync::{Notify, mpsc},
    time::{MissedTickBehavior, interval},
};
use tracing::{error, info, warn};

use crate::{inbox::Inbox, metrics::METRICS};

pub(crate) type Registration = Weak<Inbox>;

/// How often to look without being woken: a mark may be lost with its connection, an event may be dropped.
const TICK: Duration = Duration::from_millis(250);

/// What the client's event callback passes on.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    wake: Notify,
    /// The client dropped messages because a forwarder was late.
    lost: AtomicBool,
}

impl Signals {
    pub(crate) fn take(&self, event: &Event) {
        match event {
            Event::SlowConsumer(_) => {
                METRICS.dropped_slow_consumer.inc();
                self.lost.store(true, Ordering::Release);
            }
            Event::ServerError(error) => warn!(%error, "bus server error"),
            _ => {}
        }
        self.wake.notify_one();
    }
}

pub(crate) struct Control {
    client: Client,
    statistics: Arc<Statistics>,
    signals: Arc<Signals>,
    registered: mpsc::Receiver<Registration>,
    inboxes: Vec<Registration>,
    /// Who waits for which mark.
    waiting: Vec<(u64, Registration)>,
    last_mark: u64,
    /// The number of connections made when we last looked.
    connects: u64,
    was_connected: bool,
    subject: String,
}

impl Control {
    pub(crate) fn new(client: Client, signals: Arc<Signals>, registered: mpsc::Receiver<Registration>) -> Self {
        METRICS.connected.set(0);
        Self {
            statistics: client.statistics(),
            subject: client.new_inbox(),
            client,
            signals,
            registered,
            inboxes: Vec::new(),
            waiting: Vec::new(),
            last_mark: 0,
            connects: 0,
            was_connected: false,
        }
    }

    pub(crate) async fn run(mut self) {
        let mut marks = match self.client.subscribe(self.subject.clone()).await {
            Ok(marks) => marks,
            Err(error) => {
                error!(%error, "bus control subscription refused");
                return;
            }
        };
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let signals = Arc::clone(&self.signals);
        loop {
            tokio::select! {
                registered = self.registered.recv() => {
                    let Some(inbox) = registered else { return };
                    self.register(inbox).await;
                }
                mark = next_mark(&mut marks) => self.announce(mark),
                () = signals.wake.notified() => { self.look().await; }
                _ = tick.tick() => {
                    self.look().await;
                    if !self.waiting.is_empty() {
                        self.mark().await;
                    }
                }
            }
        }
    }

    async fn register(&mut self, inbox: Registration) {
        self.inboxes.retain(|inbox| inbox.strong_count() > 0);
        self.inboxes.push(inbox.clone());
        // A connection not yet seen comes first: it resets everyone, and this one only once.
        if !self.look().await {
            self.waiting.push((self.last_mark + 1, inbox));
            self.mark().await;
        }
    }

    /// Publishes the next mark; without a connection the next tick, or the next connection, does.
    async fn mark(&mut self) {
        if self.client.connection_state() != State::Connected {
            return;
        }
        self.last_mark += 1;
        let payload = Bytes::copy_from_slice(&self.last_mark.to_be_bytes());
        if let Err(error) = self.client.publish(self.subject.clone(), payload).await {
            warn!(%error, "bus mark refused");
        }
    }

    fn announce(&mut self, mark: u64) {
        self.waiting.retain(|(wanted, inbox)| {
            let reached = *wanted <= mark;
            if reached && let Some(inbox) = inbox.upgrade() {
                inbox.want_reset();
            }
            !reached
        });
    }

    /// Whether there is a new connection, and so a mark on its way for every inbox.
    async fn look(&mut self) -> bool {
        if self.signals.lost.swap(false, Ordering::AcqRel) {
            warn!("bus messages dropped: the process is too slow");
            self.inboxes.iter().filter_map(Weak::upgrade).for_each(|inbox| inbox.want_reset());
        }
        let connected = self.client.connection_state() == State::Connected;
        if connected != self.was_connected {
            self.was_connected = connected;
            METRICS.connected.set(i64::from(connected));
            if connected { info!("bus connected") } else { warn!("bus disconnected") }
        }
        let connects = super::count_connections(&self.statistics);
        let is_new = connected && connects != self.connects;
        if is_new {
            self.connects = connects;
            let mark = self.last_mark + 1;
            self.inboxes.retain(|inbox| inbox.strong_count() > 0);
            self.waiting = self.inboxes.iter().map(|inbox| (mark, inbox.clone())).collect();
            self.mark().await;
        }
        is_new
    }
}

/// Pends for ever when the client is gone, which happens only at the end.
async fn next_mark(marks: &mut Subscriber) -> u64 {
    loop {
        let Some(message) = marks.next().await else { return std::future::pending().await };
        if let Ok(mark) = message.payload.as_ref().try_into() {
            return u64::from_be_bytes(mark);
        }
    }
}
