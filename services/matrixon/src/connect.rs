//! Connections to the database, and waiting at the start for what starts at the same time, such as the database of the same
//! Helm release.

use std::{future::Future, time::Duration};

use anyhow::{Context as _, Result, bail};
use matrixon_store::{Config as DatabaseConfig, Db, migrations};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep},
};

use crate::settings::Settings;

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

/// Connects and makes sure that the database answers.
pub(crate) async fn connect(config: &DatabaseConfig) -> Result<Db> {
    let db = Db::connect(config).await?;
    let unreachable = || {
        let place = without_password(&config.url);
        format!("cannot reach the database {place}; check `database.url`, and that the database runs and lets us in")
    };
    db.ping().await.with_context(unreachable)?;
    Ok(db)
}

/// The same for commands that need the tables.
pub(crate) async fn connect_migrated(settings: &Settings) -> Result<Db> {
    let db = connect(&settings.config.database).await?;
    if !db.is_postgres() || settings.config.database.migrate_on_start {
        migrations::migrate(&db).await?;
    }
    migrations::check(&db).await?;
    Ok(db)
}

/// A database URL as it may be shown.
pub(crate) fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let rest = rest.split_once('?').map_or(rest, |(rest, _options)| rest);
    match rest.rsplit_once('@') {
        Some((_user, place)) => format!("{scheme}://{place}"),
        None => format!("{scheme}://{rest}"),
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

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(without_password("postgres://me:p@ss@host:5432/db?password=x"), "postgres://host:5432/db");
        assert_eq!(without_password("sqlite:./data/matrixon.db"), "sqlite:./data/matrixon.db");
    }
}
