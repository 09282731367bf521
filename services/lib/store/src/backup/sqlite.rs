//! SQLite: the file as it is at one moment.

use std::path::Path;

use sqlx::{
    Connection as _,
    sqlite::{SqliteConnectOptions, SqliteConnection},
};

use crate::{Db, StoreError};

/// Writes a compact copy of the database to `path`, which must not exist. Readers and the writer go on meanwhile.
pub async fn copy_into(db: &Db, path: &Path) -> Result<(), StoreError> {
    let Db::Sqlite { read, .. } = db else {
        return Err(StoreError::Setup("only a database of SQLite is a file".to_owned()));
    };
    let text = path.to_str().ok_or_else(|| StoreError::Setup(format!("{} is not UTF-8", path.display())))?;
    sqlx::query("vacuum into $1").bind(text).execute(read).await?;
    Ok(())
}

/// What `pragma integrity_check` says of the file, and its migrations.
pub async fn integrity(path: &Path) -> Result<(String, Vec<i64>), StoreError> {
    let options = SqliteConnectOptions::new().filename(path).read_only(true).immutable(true);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let (verdict,): (String,) = sqlx::query_as("pragma integrity_check(1)").fetch_one(&mut connection).await?;
    let versions: Vec<(i64,)> =
        sqlx::query_as("select version from schema_migrations order by version").fetch_all(&mut connection).await?;
    connection.close().await?;
    Ok((verdict, versions.into_iter().map(|row| row.0).collect()))
}
