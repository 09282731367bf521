//! Waiting at the start for what starts at the same time, such as the database of the same Helm release.

use std::{future::Future, time::Duration};

use anyhow::{Result, bail};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep},
};

const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Tries until `attempt` succeeds or `seconds` are over; `tell` hears each new reason. SIGTERM ends the wait: to the first
/// process of a container nothing else would.
pub(crate) async fn patiently<T, F: Future<Output = Result<T>>>(
    seconds: u64,
    tell: impl Fn(&str),
    attempt: impl Fn() -> F,
) -> Result<T> {
    if seconds == 0 {
        return attempt().await;
    }
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut told = String::new();
    loop {
        let reason = match attempt().await {
            Ok(done) => return Ok(done),
            Err(error) if Instant::now() >= until => return Err(error),
            Err(error) => format!("{error:#}"),
        };
        if told != reason {
            tell(&reason);
            told = reason;
        }
        tokio::select! {
            () = sleep(LOOK_EVERY) => {}
            _ = terminate.recv() => bail!("told to end while waiting: {told}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_tries_until_the_time_is_over_and_tells_each_reason_once() {
        let (tries, told) = (AtomicU32::new(0), AtomicU32::new(0));
        let attempt = async |succeeds_at: u32| {
            let now = tries.fetch_add(1, Ordering::Relaxed) + 1;
            if now >= succeeds_at { Ok(now) } else { bail!("not yet") }
        };
        let tell = |reason: &str| {
            assert_eq!(reason, "not yet");
            told.fetch_add(1, Ordering::Relaxed);
        };
        assert_eq!(patiently(60, tell, || attempt(5)).await.unwrap(), 5);
        assert_eq!(told.load(Ordering::Relaxed), 1);
        let started = Instant::now();
        assert!(patiently(10, |_| (), || attempt(u32::MAX)).await.is_err());
        assert_eq!(started.elapsed(), Duration::from_secs(10));
        assert!(patiently(0, |_| (), || attempt(u32::MAX)).await.is_err());
    }
}
