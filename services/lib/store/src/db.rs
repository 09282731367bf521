//! Pools and transactions over PostgreSQL and SQLite.

use std::{
    future::Future,
    str::FromStr,
    time::{Duration, Instant},
};

use sqlx::{
    ConnectOptions, Database, PgConnection, PgPool, Pool, Postgres, SqlSafeStr as _, Sqlite, SqliteConnection,
    SqlitePool, Transaction,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{Config, StoreError, pool};

/// Anything that can run a statement, in one of the two dialects.
#[derive(Debug)]
pub enum Ex<P, S> {
    Pg(P),
    Sqlite(S),
}

/// The database of a process. Cloning shares the pools.
#[derive(Clone, Debug)]
pub enum Db {
    Pg(PgPool),
    /// SQLite has one writer at a time: `write` is a pool of one connection.
    Sqlite {
        read: SqlitePool,
        write: SqlitePool,
    },
}

/// One transaction, ended by [`Tx::commit`]; dropping it rolls back.
#[derive(Debug)]
pub enum Tx {
    Pg(Transaction<'static, Postgres>),
    Sqlite(Transaction<'static, Sqlite>),
}

/// How many connections of a pool are open even when nothing happens.
fn at_hand(max_connections: u32) -> u32 {
    max_connections.div_ceil(2).min(4)
}

fn postgres_options(config: &Config) -> Result<PgConnectOptions, StoreError> {
    let options = PgConnectOptions::from_str(&config.url)
        .map_err(|error| StoreError::Setup(format!("database.url cannot be read: {error}")))?;
    Ok(options
        .application_name("matrixon")
        .statement_cache_capacity(512)
        .options([
            // A frozen process must not hold the row lock of a stream for ever.
            ("idle_in_transaction_session_timeout", "5s"),
            ("statement_timeout", "30s"),
            // Short statements, run a thousand times a second: planning them anew costs more than running them.
            ("plan_cache_mode", "force_generic_plan"),
            // Such a plan outlives the day it was made, when the tables may have been all but empty. Every query here is a
            // look-up by index, so the plans that are only right for tiny tables are not to be chosen.
            ("enable_seqscan", "off"),
            ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"),
            ("jit", "off"),
        ])
        .log_statements(tracing::log::LevelFilter::Off)
        .log_slow_statements(tracing::log::LevelFilter::Warn, Duration::from_secs(1)))
}

impl Db {
    /// Opens the pools. The database need not answer yet with PostgreSQL: a process starts and reports "not ready".
    pub async fn connect(config: &Config) -> Result<Self, StoreError> {
        if config.url.starts_with("postgres:") || config.url.starts_with("postgresql:") {
            Self::connect_postgres(config)
        } else if config.url.starts_with("sqlite:") {
            Self::connect_sqlite(config).await
        } else {
            Err(StoreError::Setup(
                "database.url must begin with `postgres://` or `sqlite:`; see `matrixon config generate`".to_owned(),
            ))
        }
    }

    /// From now on connections are made as `config.url` says, with another password say; those that are open live on, for half
    /// an hour at most.
    pub fn set_credentials(&self, config: &Config) -> Result<(), StoreError> {
        let Self::Pg(pool) = self else { return Ok(()) };
        let (next, now) = (postgres_options(config)?, pool.connect_options());
        let server = |options: &PgConnectOptions| {
            let database = options.get_database().map(ToOwned::to_owned);
            (options.get_host().to_owned(), options.get_port(), options.get_socket().cloned(), database)
        };
        if server(&next) != server(&now) {
            let message = "database.url names another server or database, which a restart is needed for";
            return Err(StoreError::Setup(message.to_owned()));
        }
        pool.set_connect_options(next);
        Ok(())
    }

    fn connect_postgres(config: &Config) -> Result<Self, StoreError> {
        let options = postgres_options(config)?;
        let pool = PgPoolOptions::new()
            .max_connections(config.max_connections)
            .min_connections(at_hand(config.max_connections))
            .acquire_timeout(Duration::from_millis(config.acquire_timeout_ms))
            .idle_timeout(Duration::from_mins(5))
            // A busy connection is known to work; one that rested may have died with the server meanwhile.
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > Duration::from_secs(1) || pool::is_suspect(meta.age) {
                        sqlx::Connection::ping(connection).await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(options);
        Ok(Self::Pg(pool))
    }

    async fn connect_sqlite(config: &Config) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::from_str(&config.url)
            .map_err(|error| StoreError::Setup(format!("database.url cannot be read: {error}")))?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // FULL: an acknowledged commit is on the disk, as with PostgreSQL.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(10))
            .pragma("cache_size", "-4096")
            .pragma("wal_autocheckpoint", "4000")
            .statement_cache_capacity(256)
            .log_statements(tracing::log::LevelFilter::Off)
            .log_slow_statements(tracing::log::LevelFilter::Warn, Duration::from_secs(1));
        let pool = |connections: u32| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(Duration::from_millis(config.acquire_timeout_ms.max(10_000)))
                .test_before_acquire(false)
        };
        let write = pool(1)
            .connect_with(options.clone())
            .await
            .map_err(|error| StoreError::Setup(format!("cannot open the database {}: {error}", config.url)))?;
        let read = pool(config.max_connections.clamp(2, 4)).connect_lazy_with(options.create_if_missing(false));
        Ok(Self::Sqlite { read, write })
    }

    /// Opens the connections that are to be at hand. A replica that takes over another's load with an empty pool would open them
    /// all at that moment, while its requests wait.
    pub async fn warm(&self) -> Result<(), StoreError> {
        if let Self::Pg(pool) = self {
            let mut held = Vec::new();
            for _ in 0..at_hand(pool.options().get_max_connections()) {
                held.push(pool.acquire().await?);
            }
        }
        Ok(())
    }

    pub fn is_postgres(&self) -> bool {
        matches!(self, Self::Pg(_))
    }

    /// For statements that only read. PostgreSQL: may later be a replica.
    pub fn read(&self) -> Ex<&PgPool, &SqlitePool> {
        match self {
            Self::Pg(pool) => Ex::Pg(pool),
            Self::Sqlite { read, .. } => Ex::Sqlite(read),
        }
    }

    /// For single statements that write (`… returning` too).
    pub fn write(&self) -> Ex<&PgPool, &SqlitePool> {
        match self {
            Self::Pg(pool) => Ex::Pg(pool),
            Self::Sqlite { write, .. } => Ex::Sqlite(write),
        }
    }

    /// Begins a transaction that will write. SQLite takes the write lock at once, so that it never has to upgrade.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        Ok(match self {
            Self::Pg(pool) => Tx::Pg(timed("begin", begin(pool, "BEGIN")).await?),
            Self::Sqlite { write, .. } => Tx::Sqlite(timed("begin", begin(write, "BEGIN IMMEDIATE")).await?),
        })
    }

    /// Does the database answer?
    pub async fn ping(&self) -> Result<(), StoreError> {
        crate::sql!(self.read(), fetch_one as (i32,), "select 1").map(|_| ())
    }

    /// The database's own clock, in milliseconds since 1970; with SQLite it is this machine's.
    pub async fn now_ms(&self) -> Result<i64, StoreError> {
        let (now_ms,) = crate::sql!(
            self.read(),
            fetch_one as (i64,),
            pg: "select (extract(epoch from clock_timestamp()) * 1000)::bigint",
            lite: "select cast((julianday('now') - 2440587.5) * 86400000 as bigint)"
        )?;
        Ok(now_ms)
    }

    /// Connections (in use, idle), for metrics.
    pub fn connections(&self) -> (usize, usize) {
        let (size, idle) = match self {
            Self::Pg(pool) => (pool.size() as usize, pool.num_idle()),
            Self::Sqlite { read, write } => ((read.size() + write.size()) as usize, read.num_idle() + write.num_idle()),
        };
        (size.saturating_sub(idle), idle)
    }

    pub async fn close(&self) {
        match self {
            Self::Pg(pool) => pool.close().await,
            Self::Sqlite { read, write } => {
                read.close().await;
                write.close().await;
            }
        }
    }
}

impl Tx {
    pub fn ex(&mut self) -> Ex<&mut PgConnection, &mut SqliteConnection> {
        match self {
            Self::Pg(tx) => Ex::Pg(&mut **tx),
            Self::Sqlite(tx) => Ex::Sqlite(&mut **tx),
        }
    }

    /// An error here means *unknown*: the commit may have happened. Callers answer 503 and rely on transaction ids.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Pg(tx) => timed("commit", tx.commit()).await,
            Self::Sqlite(tx) => timed("commit", tx.commit()).await,
        }
    }

    pub async fn rollback(self) -> Result<(), StoreError> {
        match self {
            Self::Pg(tx) => timed("rollback", tx.rollback()).await,
            Self::Sqlite(tx) => timed("rollback", tx.rollback()).await,
        }
    }
}

async fn begin<D: Database>(pool: &Pool<D>, statement: &'static str) -> Result<Transaction<'static, D>, sqlx::Error> {
    let connection = pool::acquire(pool).await?;
    Transaction::begin(connection, Some(statement.into_sql_str())).await
}

/// Counts a statement and its time for the request it belongs to, under a span for the trace.
pub async fn timed<T>(
    statement: &'static str,
    run: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, StoreError> {
    use tracing::Instrument as _;
    let started = Instant::now();
    let result = run.instrument(tracing::debug_span!("db.query", db.statement = statement)).await;
    matrixon_runtime::query_stats::record(started.elapsed());
    result.map_err(|error| {
        let error = StoreError::from(error);
        if error.is_unavailable() {
            pool::suspect();
        }
        error
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> Config {
        Config { url: url.to_owned(), ..Config::default() }
    }

    #[tokio::test]
    async fn credentials_change_and_nothing_else() {
        let db = Db::connect(&config("postgres://first:a@127.0.0.1:9/matrixon")).await.unwrap();
        db.set_credentials(&config("postgres://second:b@127.0.0.1:9/matrixon")).unwrap();
        let Db::Pg(pool) = &db else { panic!("PostgreSQL") };
        assert_eq!(pool.connect_options().get_username(), "second");
        for other in ["127.0.0.1:10/matrixon", "127.0.0.2:9/matrixon", "127.0.0.1:9/other"] {
            assert!(db.set_credentials(&config(&format!("postgres://third@{other}"))).is_err(), "{other}");
        }
        assert_eq!(pool.connect_options().get_username(), "second");
    }
}
