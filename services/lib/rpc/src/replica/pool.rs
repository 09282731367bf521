//! The connections to one replica. A long poll holds a stream for half a minute, and a peer allows some hundred streams
//! on a connection: the pool opens another connection when the others are full, and closes those that fell idle.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::connect::{self, Sender};
use crate::{Address, BoxError, timing::Timing};

/// Streams on one connection; also the usual limit of servers.
const STREAMS: usize = 200;
/// 200 × 1024 calls at once; more is an overload and answered as one.
const CONNECTIONS: usize = 1024;
const IDLE: Duration = Duration::from_mins(1);

#[derive(Debug, thiserror::Error)]
#[error("{CONNECTIONS} connections are full")]
pub(super) struct PoolFull;

#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot connect: {0}")]
struct CannotConnect(Arc<BoxError>);

pub(super) struct Pool {
    address: Address,
    timing: Timing,
    lines: Mutex<Vec<Arc<Line>>>,
}

/// One connection, opening or open.
pub(super) struct Line {
    sender: OnceLock<Sender>,
    opened: watch::Receiver<Option<Result<(), CannotConnect>>>,
    streams: AtomicUsize,
    /// What the peer allows; follows its SETTINGS.
    allowed: Arc<AtomicUsize>,
    condemned: AtomicBool,
    closed: Arc<AtomicBool>,
    sever: CancellationToken,
    used: Mutex<Instant>,
}

impl Pool {
    pub(super) fn new(address: Address, timing: Timing) -> Self {
        Self { address, timing, lines: Mutex::new(Vec::new()) }
    }

    pub(super) fn len(&self) -> usize {
        self.lines.lock().iter().filter(|line| line.is_usable()).count()
    }

    /// A connection with room for one more stream, which is counted at once: a burst opens as many connections as it needs.
    /// Full connections come first in the list, so that the last ones fall idle when the load goes.
    pub(super) fn take(&self) -> Result<Arc<Line>, PoolFull> {
        let mut lines = self.lines.lock();
        lines.retain(|line| line.is_usable());
        if let Some(line) = lines.iter().find(|line| line.has_room()) {
            line.streams.fetch_add(1, Ordering::Relaxed);
            return Ok(line.clone());
        }
        if lines.len() >= CONNECTIONS {
            return Err(PoolFull);
        }
        let line = self.open();
        line.streams.fetch_add(1, Ordering::Relaxed);
        lines.push(line.clone());
        Ok(line)
    }

    fn open(&self) -> Arc<Line> {
        let (opened, when_opened) = watch::channel(None);
        let line = Arc::new(Line {
            sender: OnceLock::new(),
            opened: when_opened,
            streams: AtomicUsize::new(0),
            allowed: Arc::new(AtomicUsize::new(STREAMS)),
            condemned: AtomicBool::new(false),
            closed: Arc::new(AtomicBool::new(false)),
            sever: CancellationToken::new(),
            used: Mutex::new(Instant::now()),
        });
        tokio::spawn(drive(self.address.clone(), self.timing.connect, line.clone(), opened));
        line
    }

    /// Ends every call that is in flight.
    pub(super) fn sever(&self) {
        for line in std::mem::take(&mut *self.lines.lock()) {
            line.sever.cancel();
        }
    }

    /// Lets go of connections that nobody used for a minute. The last handle to go closes a connection.
    pub(super) fn close_idle(&self) {
        let now = Instant::now();
        self.lines
            .lock()
            .retain(|line| line.streams.load(Ordering::Relaxed) > 0 || now.duration_since(*line.used.lock()) < IDLE);
    }

    /// Takes no more calls; those in flight hold their connection until they end.
    pub(super) fn clear(&self) {
        self.lines.lock().clear();
    }
}

impl Line {
    fn is_usable(&self) -> bool {
        !self.closed.load(Ordering::Acquire) && !self.condemned.load(Ordering::Acquire)
    }

    fn has_room(&self) -> bool {
        self.streams.load(Ordering::Relaxed) < STREAMS.min(self.allowed.load(Ordering::Relaxed))
    }

    pub(super) fn release(&self) {
        if self.streams.fetch_sub(1, Ordering::Relaxed) == 1 {
            *self.used.lock() = Instant::now();
        }
    }

    /// No more calls on this connection. True for the first one to say so.
    pub(super) fn condemn(&self) -> bool {
        !self.condemned.swap(true, Ordering::AcqRel)
    }

    /// The handle to send with, once the connection is open.
    pub(super) async fn sender(&self) -> Result<&Sender, BoxError> {
        if let Some(sender) = self.sender.get() {
            return Ok(sender);
        }
        let mut opened = self.opened.clone();
        let result = match opened.wait_for(Option::is_some).await {
            Ok(result) => result.clone(),
            Err(_) => None,
        };
        if let Some(Err(error)) = result {
            return Err(error.into());
        }
        self.sender.get().ok_or_else(|| "the connection was closed while it opened".into())
    }
}

/// Opens a connection and runs it to its end. Holds no handle to it while it runs, or an idle one would never close.
async fn drive(
    address: Address,
    timeout: Duration,
    line: Arc<Line>,
    opened: watch::Sender<Option<Result<(), CannotConnect>>>,
) {
    let mut connection = match connect::open(&address, timeout, line.sever.clone()).await {
        Ok((sender, connection)) => {
            let _only_opened_here = line.sender.set(sender);
            opened.send_replace(Some(Ok(())));
            connection
        }
        Err(error) => {
            line.closed.store(true, Ordering::Release);
            opened.send_replace(Some(Err(CannotConnect(Arc::new(error)))));
            return;
        }
    };
    let (allowed, closed) = (line.allowed.clone(), line.closed.clone());
    drop(line);
    let end = poll_fn(|cx| {
        let polled = Pin::new(&mut connection).poll(cx);
        allowed.store(connection.current_max_send_streams(), Ordering::Relaxed);
        polled
    })
    .await;
    closed.store(true, Ordering::Release);
    tracing::debug!(replica = %address, error = end.err().map(tracing::field::display), "connection closed");
}
