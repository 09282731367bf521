//! `matrixon database vacuum`.

use sqlx::Executor as _;

use crate::{Db, StoreError};

/// Gives the space of deleted rows back to the database (PostgreSQL) or to the file system (SQLite, which locks writers out
/// meanwhile), and refreshes the statistics of the planner.
pub async fn vacuum(db: &Db) -> Result<(), StoreError> {
    match db {
        Db::Pg(pool) => {
            let mut connection = pool.acquire().await?;
            connection.execute("set statement_timeout = 0").await?;
            connection.execute("vacuum (analyze)").await?;
            // the setting must not go back into the pool
            connection.close().await?;
        }
        Db::Sqlite { write, .. } => {
            write.execute("vacuum").await?;
            write.execute("analyze").await?;
        }
    }
    Ok(())
}
