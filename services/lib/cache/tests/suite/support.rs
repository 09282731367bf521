//! A cache of either kind, and how to disturb it.

use std::{
    fmt::Display,
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use matrixon_cache::{Cache, Config};
use matrixon_testkit::{
    process,
    servers::{Redis, tls},
};
use tempfile::TempDir;

/// Far more than anything here takes; only a failing test waits that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Fixture {
    pub(crate) config: Config,
    pub(crate) cache: Cache,
    /// The directory after its server: it goes when nobody writes to it any more.
    redis: Option<(Arc<Redis>, TempDir)>,
}

impl Fixture {
    pub(crate) async fn local() -> Self {
        let config = Config::default();
        Self { cache: Cache::connect(&config).await.expect("a local cache"), config, redis: None }
    }

    pub(crate) async fn redis() -> Self {
        Self::redis_with(Config::default()).await
    }

    pub(crate) async fn redis_with(config: Config) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let redis = persistently(directory.path(), || Redis::start_in(directory.path()));
        let config = Config { url: redis.url(), ..config };
        Self::connect(config, redis, directory).await
    }

    pub(crate) async fn redis_over_tls() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let redis = persistently(directory.path(), || Redis::start_with_tls(directory.path()));
        let authority = directory.path().join("authority.crt");
        fs::write(&authority, tls::AUTHORITY).expect("it is written");
        let config = Config { url: redis.url(), ca_certificate: Some(authority), ..Config::default() };
        Self::connect(config, redis, directory).await
    }

    async fn connect(config: Config, redis: Redis, directory: TempDir) -> Self {
        let cache = Cache::connect(&config).await.expect("the configuration is right");
        assert!(cache.is_connected(), "a Redis that is there can be used at once");
        Self { config, cache, redis: Some((Arc::new(redis), directory)) }
    }

    pub(crate) fn server(&self) -> Arc<Redis> {
        Arc::clone(&self.redis.as_ref().expect("a test of Redis").0)
    }

    /// What another process would have: with Redis a connection of its own.
    pub(crate) async fn another(&self) -> Cache {
        if self.redis.is_some() {
            Cache::connect(&self.config).await.expect("the configuration is right")
        } else {
            self.cache.clone()
        }
    }

    /// One command without values, past our own client.
    pub(crate) fn tell(&self, command: &str) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.server().port())).expect("redis answers");
        stream.write_all(format!("{command}\r\n").as_bytes()).expect("it takes the command");
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).expect("it answers");
        assert_eq!(&answer, b"+OK\r\n");
    }
}

/// Asks again until the answer is the right one.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

impl Drop for Fixture {
    /// Ends what [`persistently`] may have overlooked, also when a test panics; the server itself ends by its own drop.
    fn drop(&mut self) {
        if let Some((_, directory)) = &self.redis {
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
