//! Schema migrations, embedded in the binary. They only expand (docs/operations: versions N and N-1 run side by side).

use std::time::Duration;

use sqlx::Executor as _;
use tokio::time::sleep;

use crate::{Db, Ex, StoreError, Tx, exec, sql};

struct Migration {
    version: i64,
    name: &'static str,
    postgres: &'static str,
    sqlite: &'static str,
}

static MIGRATIONS: &[Migration] = include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

/// The oldest schema that this binary works with.
pub const SCHEMA_MIN: i64 = 45;

/// The newest schema that this binary works with. Migrations only expand, so it is far ahead of what it brings; a contraction,
/// which must be told apart, gets a version beyond: those that still read what it drops then refuse to start.
pub const SCHEMA_MAX: i64 = 9_999;

/// PostgreSQL advisory lock that serialises migrators ("mxmi").
const ADVISORY_LOCK: i64 = 0x6d78_6d69;

/// A first line of this text runs a PostgreSQL migration outside a transaction (`create index concurrently`): each statement
/// ends a line, and may find what an attempt that was interrupted has left.
const NO_TRANSACTION: &str = "-- no-transaction";

#[derive(Clone, Debug)]
pub struct Status {
    pub version: i64,
    pub name: &'static str,
    pub applied_ms: Option<i64>,
}

/// The schema version that this binary brings.
pub fn latest() -> i64 {
    MIGRATIONS.last().map_or(0, |migration| migration.version)
}

/// The schema version of the database; 0 for an empty one.
pub async fn current(db: &Db) -> Result<i64, StoreError> {
    if !table_exists(db).await? {
        return Ok(0);
    }
    let (version,) = sql!(db.read(), fetch_one as (i64,), "select coalesce(max(version), 0) from schema_migrations")?;
    Ok(version)
}

/// Refuses a schema that is too old or too new for this binary.
pub async fn check(db: &Db) -> Result<i64, StoreError> {
    let version = current(db).await?;
    if version < SCHEMA_MIN {
        return Err(StoreError::Setup(format!(
            "the database has schema version {version}, this binary works with {SCHEMA_MIN} to {SCHEMA_MAX}: run `matrixon database migrate`"
        )));
    }
    if version > SCHEMA_MAX {
        return Err(StoreError::Setup(format!(
            "the database has schema version {version}, this binary works with {SCHEMA_MIN} to {SCHEMA_MAX}: run a newer version of Matrixon"
        )));
    }
    Ok(version)
}

/// Applies what is pending and tells how many that were.
pub async fn migrate(db: &Db) -> Result<usize, StoreError> {
    apply_all(db, MIGRATIONS.iter()).await
}

/// Applies these and no others: the schema that a backup was made of.
pub async fn migrate_only(db: &Db, versions: &[i64]) -> Result<usize, StoreError> {
    if let Some(unknown) = versions.iter().find(|version| !MIGRATIONS.iter().any(|m| m.version == **version)) {
        return Err(StoreError::Setup(format!(
            "the backup has schema version {unknown}, and this binary brings {} at most: restore with the version that made it",
            latest()
        )));
    }
    apply_all(db, MIGRATIONS.iter().filter(|migration| versions.contains(&migration.version))).await
}

async fn apply_all(db: &Db, migrations: impl Iterator<Item = &'static Migration>) -> Result<usize, StoreError> {
    create_table(db).await?;
    let mut applied = 0;
    for migration in migrations {
        if is_applied(db, migration.version).await? {
            continue;
        }
        let mut tries = 0;
        loop {
            match apply(db, migration).await {
                Ok(true) => {
                    applied += 1;
                    tracing::info!(version = migration.version, name = migration.name, "migration applied");
                    break;
                }
                Ok(false) => break,
                // another migrator holds the lock, or a busy table made lock_timeout strike
                Err(StoreError::Retry(_)) if tries < 100 => {
                    tries += 1;
                    sleep(Duration::from_millis(100 * tries.min(10))).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(applied)
}

pub async fn status(db: &Db) -> Result<Vec<Status>, StoreError> {
    let rows = if table_exists(db).await? {
        sql!(db.read(), fetch_all as (i64, i64), "select version, applied_ms from schema_migrations")?
    } else {
        Vec::new()
    };
    let applied = |version| rows.iter().find(|row| row.0 == version).map(|row| row.1);
    Ok(MIGRATIONS.iter().map(|m| Status { version: m.version, name: m.name, applied_ms: applied(m.version) }).collect())
}

async fn table_exists(db: &Db) -> Result<bool, StoreError> {
    let (count,) = sql!(
        db.read(), fetch_one as (i64,),
        pg: "select count(*) from information_schema.tables where table_schema = current_schema() and table_name = 'schema_migrations'",
        lite: "select count(*) from sqlite_master where type = 'table' and name = 'schema_migrations'"
    )?;
    Ok(count > 0)
}

async fn create_table(db: &Db) -> Result<(), StoreError> {
    if table_exists(db).await? {
        return Ok(());
    }
    let text = "create table if not exists schema_migrations (version bigint primary key, name text not null, applied_ms bigint not null)";
    match exec!(db.write(), text) {
        // two migrators at once: PostgreSQL's "if not exists" may still collide in its catalogue
        Err(StoreError::UniqueViolation { .. }) => Ok(()),
        result => result.map(|_| ()),
    }
}

async fn is_applied(db: &Db, version: i64) -> Result<bool, StoreError> {
    let row =
        sql!(db.read(), fetch_optional as (i64,), "select version from schema_migrations where version = $1", version)?;
    Ok(row.is_some())
}

/// False: another migrator was faster.
async fn apply(db: &Db, migration: &Migration) -> Result<bool, StoreError> {
    let mut tx = db.begin().await?;
    if let Tx::Pg(pg) = &mut tx {
        let (locked,): (bool,) =
            sqlx::query_as("select pg_try_advisory_xact_lock($1)").bind(ADVISORY_LOCK).fetch_one(&mut **pg).await?;
        if !locked {
            return Err(StoreError::Retry("another migration is running".to_owned()));
        }
        // idle while another connection does what cannot be done in a transaction
        pg.execute(
            "set local lock_timeout = '2s'; set local statement_timeout = 0;
             set local idle_in_transaction_session_timeout = 0",
        )
        .await?;
    }
    let row = sql!(
        tx.ex(),
        fetch_optional as (i64,),
        "select version from schema_migrations where version = $1",
        migration.version
    )?;
    if row.is_some() {
        return Ok(false);
    }
    let text = if db.is_postgres() { migration.postgres } else { migration.sqlite };
    if let (true, Ex::Pg(pool)) = (text.starts_with(NO_TRANSACTION), db.write()) {
        run_apart(pool, text).await?;
    } else {
        match tx.ex() {
            Ex::Pg(connection) => connection.execute(sqlx::raw_sql(text)).await.map(|_| ()),
            Ex::Sqlite(connection) => connection.execute(sqlx::raw_sql(text)).await.map(|_| ()),
        }?;
    }
    let now_ms = matrixon_runtime::clock::Clock::default().now_ms();
    exec!(
        tx.ex(),
        "insert into schema_migrations (version, name, applied_ms) values ($1, $2, $3)",
        migration.version,
        migration.name,
        now_ms
    )?;
    tx.commit().await?;
    Ok(true)
}

/// Statement by statement: several that are sent together are a transaction.
async fn run_apart(pool: &sqlx::PgPool, text: &'static str) -> Result<(), StoreError> {
    let mut connection = pool.acquire().await?;
    connection.execute("set statement_timeout = 0").await?;
    for statement in text.split(";\n") {
        connection.execute(sqlx::raw_sql(statement)).await?;
    }
    // its settings are not those of the pool
    Ok(connection.close().await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    #[tokio::test]
    async fn a_schema_that_is_too_old_or_too_new_is_refused_with_the_numbers() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("test.db").display());
        let db = Db::connect(&Config { url, ..Config::default() }).await.unwrap();
        let range = format!("{SCHEMA_MIN} to {SCHEMA_MAX}");
        let empty = check(&db).await.unwrap_err().to_string();
        assert!(empty.contains("version 0,") && empty.contains(&range) && empty.contains("migrate"), "{empty}");
        migrate(&db).await.unwrap();
        assert_eq!(check(&db).await.unwrap(), latest());
        exec!(db.write(), "insert into schema_migrations (version, name, applied_ms) values (10000, 'contract', 0)")
            .unwrap();
        let newer = check(&db).await.unwrap_err().to_string();
        assert!(newer.contains("version 10000,") && newer.contains(&range) && newer.contains("newer"), "{newer}");
        let unknown = migrate_only(&db, &[1, 8_888]).await.unwrap_err().to_string();
        assert!(unknown.contains("8888") && unknown.contains(&latest().to_string()), "{unknown}");
        db.close().await;
    }
}
