//! Connections out of the pools, and how long they were waited for.

use std::{
    sync::{LazyLock, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use matrixon_runtime::metrics::{self, Histogram, HistogramVec};
use sqlx::{
    Database, PgConnection, Pool, Postgres, Sqlite, SqliteConnection,
    pool::{MaybePoolConnection, PoolConnection},
};

static WAITS: LazyLock<HistogramVec> =
    LazyLock::new(|| metrics::latency("db_pool_wait_seconds", "Time until the pool gave a connection.", &["service"]));
static OF_SERVICE: OnceLock<Histogram> = OnceLock::new();

/// How long after a failure connections are asked before they are used.
const SUSPICION: Duration = Duration::from_secs(10);
static FAILED_AT: Mutex<Option<Instant>> = Mutex::new(None);

/// A connection broke. A server that went away took all of them with it: each that was open then is asked before it is
/// used again, so that one request fails, not one for each connection.
pub(crate) fn suspect() {
    *FAILED_AT.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
}

/// Whether a connection of this age was open when another broke a moment ago.
pub(crate) fn is_suspect(age: Duration) -> bool {
    let failed_at = *FAILED_AT.lock().unwrap_or_else(PoisonError::into_inner);
    failed_at.is_some_and(|at| at.elapsed() < SUSPICION && age >= at.elapsed())
}

/// From now on waits for connections are counted for this service, in `matrixon_db_pool_wait_seconds`.
pub fn observe_waits(service: &str) {
    OF_SERVICE.get_or_init(|| WAITS.with_label_values(&[service]));
}

pub(crate) async fn acquire<D: Database>(pool: &Pool<D>) -> Result<PoolConnection<D>, sqlx::Error> {
    let started = Instant::now();
    let connection = pool.acquire().await;
    if let Some(waits) = OF_SERVICE.get() {
        waits.observe(started.elapsed().as_secs_f64());
    }
    connection
}

/// What a statement can run on: a pool, or the connection of a transaction.
pub trait Source<'c> {
    type Database: Database;

    fn take(self) -> impl Future<Output = Result<MaybePoolConnection<'c, Self::Database>, sqlx::Error>> + Send;
}

impl<'c, D: Database> Source<'c> for &'c Pool<D> {
    type Database = D;

    async fn take(self) -> Result<MaybePoolConnection<'c, D>, sqlx::Error> {
        acquire(self).await.map(MaybePoolConnection::PoolConnection)
    }
}

impl<'c> Source<'c> for &'c mut PgConnection {
    type Database = Postgres;

    async fn take(self) -> Result<MaybePoolConnection<'c, Postgres>, sqlx::Error> {
        Ok(MaybePoolConnection::Connection(self))
    }
}

impl<'c> Source<'c> for &'c mut SqliteConnection {
    type Database = Sqlite;

    async fn take(self) -> Result<MaybePoolConnection<'c, Sqlite>, sqlx::Error> {
        Ok(MaybePoolConnection::Connection(self))
    }
}
