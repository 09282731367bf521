//! The life cycle of a process: running → draining → closing → stopped. SIGTERM walks through it in order, see OPERATIONS.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Notify,
};
use tokio_util::sync::CancellationToken;

use crate::{config::ShutdownConfig, reload::Reload};

/// Where the process is in its life; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    draining: CancellationToken,
    closing: CancellationToken,
    stopped: CancellationToken,
    in_flight: AtomicUsize,
    idle: Notify,
}

impl Shutdown {
    pub fn new() -> Self {
        Self::default()
    }

    /// Not ready any more, but still accepting: peers and load balancers need time to notice.
    pub fn draining(&self) -> bool {
        self.inner.draining.is_cancelled()
    }

    pub fn begin_drain(&self) {
        self.inner.draining.cancel();
    }

    /// Returns when draining begins: parked requests answer now.
    pub async fn wait_draining(&self) {
        self.inner.draining.cancelled().await;
    }

    pub fn closing(&self) -> bool {
        self.inner.closing.is_cancelled()
    }

    /// No new connections, GOAWAY on HTTP/2; requests in flight go on.
    pub fn close(&self) {
        self.begin_drain();
        self.inner.closing.cancel();
    }

    pub async fn wait_closing(&self) {
        self.inner.closing.cancelled().await;
    }

    pub fn stopped(&self) -> bool {
        self.inner.stopped.is_cancelled()
    }

    /// The end: whatever is still in flight is cut, background tasks return.
    pub fn stop(&self) {
        self.close();
        self.inner.stopped.cancel();
    }

    pub async fn wait_stopped(&self) {
        self.inner.stopped.cancelled().await;
    }

    /// Counts one piece of work in flight until the guard is dropped.
    pub fn track(&self) -> Inflight {
        self.inner.in_flight.fetch_add(1, Ordering::AcqRel);
        Inflight { shutdown: self.clone() }
    }

    pub fn in_flight(&self) -> usize {
        self.inner.in_flight.load(Ordering::Acquire)
    }

    /// Returns when nothing is in flight.
    pub async fn wait_idle(&self) {
        loop {
            let mut notified = std::pin::pin!(self.inner.idle.notified());
            // Registered before the count is read, or the last guard could be dropped in between.
            notified.as_mut().enable();
            if self.in_flight() == 0 {
                return;
            }
            notified.await;
        }
    }

    /// Drains in order: unready, wait for the others to notice, stop accepting, finish what is in flight, stop.
    pub async fn drain(&self, config: &ShutdownConfig) {
        self.begin_drain();
        tokio::time::sleep(Duration::from_secs(config.drain_delay_seconds)).await;
        self.close();
        let finish = Duration::from_secs(config.finish_seconds);
        if tokio::time::timeout(finish, self.wait_idle()).await.is_err() {
            tracing::warn!(in_flight = self.in_flight(), "requests did not finish in time and are cut");
        }
        self.stop();
    }
}

/// One piece of work in flight.
#[derive(Debug)]
pub struct Inflight {
    shutdown: Shutdown,
}

impl Drop for Inflight {
    fn drop(&mut self) {
        if self.shutdown.inner.in_flight.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shutdown.inner.idle.notify_waiters();
        }
    }
}

/// Serves the process's signals until it has stopped: SIGTERM and SIGINT drain, a second one exits at once, SIGHUP reloads.
pub async fn run_signals(shutdown: Shutdown, config: ShutdownConfig, reload: Reload) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut drain = None;
    loop {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hang_up.recv() => { reload.run(); continue; }
            () = shutdown.wait_stopped() => return Ok(()),
        }
        if drain.is_some() {
            tracing::warn!("second signal, exiting at once");
            std::process::exit(1);
        }
        tracing::info!(drain_delay_seconds = config.drain_delay_seconds, "draining");
        let (shutdown, config) = (shutdown.clone(), config.clone());
        drain = Some(tokio::spawn(async move { shutdown.drain(&config).await }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_drain_waits_for_the_delay_and_for_what_is_in_flight() {
        let shutdown = Shutdown::new();
        let work = shutdown.track();
        let config = ShutdownConfig { drain_delay_seconds: 10, finish_seconds: 20 };
        let started = tokio::time::Instant::now();
        let draining = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.drain(&config).await }
        });
        shutdown.wait_draining().await;
        assert!(!shutdown.closing());
        shutdown.wait_closing().await;
        assert_eq!(started.elapsed(), Duration::from_secs(10));
        assert!(!shutdown.stopped());
        drop(work);
        draining.await.unwrap();
        assert!(shutdown.stopped());
        assert_eq!(started.elapsed(), Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_finish_is_cut() {
        let shutdown = Shutdown::new();
        let _work = shutdown.track();
        let started = tokio::time::Instant::now();
        shutdown.drain(&ShutdownConfig { drain_delay_seconds: 1, finish_seconds: 2 }).await;
        assert!(shutdown.stopped());
        assert_eq!(started.elapsed(), Duration::from_secs(3));
    }
}
