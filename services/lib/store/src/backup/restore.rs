//! Writing a backup into an empty PostgreSQL: all of it in one transaction, or none.

use sqlx::{Postgres, Transaction, postgres::PgCopyIn};

use super::postgres::{Table, quoted, tables};
use crate::{Db, StoreError, migrations};

/// A restore under way. Dropping it leaves the database empty of data.
pub struct Restore {
    tx: Transaction<'static, Postgres>,
    known: Vec<Table>,
}

impl Restore {
    /// Makes the schema that the backup was made of. Refuses a database that has any table.
    pub async fn begin(db: &Db, schema: &[i64]) -> Result<Self, StoreError> {
        let Db::Pg(pool) = db else {
            return Err(StoreError::Setup("a backup of PostgreSQL is restored into PostgreSQL".to_owned()));
        };
        let (found,): (i64,) =
            sqlx::query_as("select count(*) from information_schema.tables where table_schema = current_schema()")
                .fetch_one(pool)
                .await?;
        if found > 0 {
            return Err(StoreError::Setup(format!(
                "the database has {found} tables and a restore needs an empty one: create another with `createdb`, and point `database.url` at it"
            )));
        }
        migrations::migrate_only(db, schema).await?;
        let mut tx = pool.begin().await?;
        sqlx::Executor::execute(
            &mut *tx,
            "set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0",
        )
        .await?;
        let known = tables(&mut tx).await?;
        // Migrations fill some tables; the backup has those rows, too.
        for table in known.iter().rev() {
            let text = format!("delete from {}", quoted(&table.name));
            sqlx::query(sqlx::AssertSqlSafe(text)).execute(&mut *tx).await?;
        }
        Ok(Self { tx, known })
    }

    /// Takes the rows of a table from `next`, chunk by chunk until `None`; returns how many rows there were.
    pub async fn copy_in<E>(
        &mut self,
        table: &Table,
        mut next: impl AsyncFnMut() -> Result<Option<Vec<u8>>, E>,
    ) -> Result<Result<u64, E>, StoreError> {
        let known = self.known.iter().find(|known| known.name == table.name);
        if known.is_none_or(|known| table.columns.iter().any(|column| !known.columns.contains(column))) {
            return Err(StoreError::Setup(format!(
                "the backup has a table `{}` that its schema has not: it is of another program",
                table.name
            )));
        }
        let statement = format!("copy {} from stdin", table.target());
        let mut copy: PgCopyIn<_> = self.tx.copy_in_raw(&statement).await?;
        loop {
            match next().await {
                Ok(Some(chunk)) => {
                    copy.send(chunk).await?;
                }
                Ok(None) => return Ok(Ok(copy.finish().await?)),
                Err(error) => {
                    copy.abort("the backup cannot be read on").await?;
                    return Ok(Err(error));
                }
            }
        }
    }

    /// Identity columns continue after the greatest restored value; then COMMIT.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        let identities: Vec<(String, String)> = sqlx::query_as(
            "select c.relname::text, a.attname::text
             from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid
             where c.relkind = 'r' and n.nspname = current_schema() and a.attnum > 0 and not a.attisdropped
               and pg_get_serial_sequence(quote_ident(c.relname), a.attname) is not null",
        )
        .fetch_all(&mut *self.tx)
        .await?;
        for (table, column) in identities {
            let text = format!(
                "select setval(pg_get_serial_sequence($1, $2), (select coalesce(max({}), 0) + 1 from {}), false)",
                quoted(&column),
                quoted(&table)
            );
            sqlx::query(sqlx::AssertSqlSafe(text)).bind(quoted(&table)).bind(column).execute(&mut *self.tx).await?;
        }
        self.tx.commit().await?;
        Ok(())
    }
}
