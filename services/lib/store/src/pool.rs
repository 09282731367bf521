//! Connections out of the pools, and how long they were waited for.

use std::{
    sync::{LazyLock, OnceLock},
    time::Instant,
};

use matrixon_runtime::metrics::{self, Histogram, HistogramVec};
use sqlx::{
    Database, PgConnection, Pool, Postgres, Sqlite, SqliteConnection,
    pool::{MaybePoolConnection, PoolConnection},
};

static WAITS: LazyLock<HistogramVec> =
    LazyLock::new(|| metrics::latency("db_pool_wait_seconds", "Time until the pool gave a connection.", &["service"]));
static OF_SERVICE: OnceLock<Histogram> = OnceLock::new();

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
