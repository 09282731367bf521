//! Reading all of PostgreSQL as of one moment.

use futures::StreamExt as _;
use sqlx::{Executor as _, Postgres, Transaction};

use crate::{Db, StoreError};

/// A transaction that sees the database as it was when it began.
pub struct Snapshot {
    tx: Transaction<'static, Postgres>,
}

/// A table and the columns that are copied; generated ones are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub name: String,
    pub columns: Vec<String>,
}

impl Table {
    /// `"name" ("column", …)`, as `copy` wants it.
    pub(super) fn target(&self) -> String {
        let columns: Vec<String> = self.columns.iter().map(|column| quoted(column)).collect();
        format!("{} ({})", quoted(&self.name), columns.join(", "))
    }
}

/// Names come from the catalogue or from a backup, not from users; quoted all the same.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Snapshot {
    /// `None` for SQLite, which copies its file.
    pub async fn begin(db: &Db) -> Result<Option<Self>, StoreError> {
        let Db::Pg(pool) = db else { return Ok(None) };
        let mut tx = pool.begin_with("begin isolation level repeatable read read only").await?;
        // A large table takes longer than any request may, and so may the bucket that it goes to.
        tx.execute("set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0").await?;
        Ok(Some(Self { tx }))
    }

    /// The migrations that made this schema.
    pub async fn migrations(&mut self) -> Result<Vec<i64>, StoreError> {
        let rows: Vec<(i64,)> =
            sqlx::query_as("select version from schema_migrations order by version").fetch_all(&mut *self.tx).await?;
        Ok(rows.into_iter().map(|row| row.0).collect())
    }

    /// All tables but that of the migrations; those that others refer to come before them.
    pub async fn tables(&mut self) -> Result<Vec<Table>, StoreError> {
        tables(&mut self.tx).await
    }

    /// Hands the rows of a table, in the text format of `copy`, to `take`; returns how many there were.
    pub async fn copy_out<E>(
        &mut self,
        table: &Table,
        mut take: impl AsyncFnMut(&[u8]) -> Result<(), E>,
    ) -> Result<Result<u64, E>, StoreError> {
        let statement = format!("copy {} to stdout", table.target());
        let mut chunks = self.tx.copy_out_raw(&statement).await?;
        let mut rows = 0;
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?;
            // A line break within a value is written as \n.
            rows += count_lines(&chunk);
            if let Err(error) = take(&chunk).await {
                return Ok(Err(error));
            }
        }
        Ok(Ok(rows))
    }
}

/// Rows in the text format of `copy`.
pub fn count_lines(chunk: &[u8]) -> u64 {
    chunk.iter().fold(0, |lines, byte| lines + u64::from(*byte == b'\n'))
}

pub(super) async fn tables(tx: &mut Transaction<'static, Postgres>) -> Result<Vec<Table>, StoreError> {
    let columns: Vec<(String, String)> = sqlx::query_as(
        "select c.relname::text, a.attname::text
         from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid
         where c.relkind = 'r' and n.nspname = current_schema() and c.relname <> 'schema_migrations'
           and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
         order by c.relname, a.attnum",
    )
    .fetch_all(&mut **tx)
    .await?;
    let references: Vec<(String, String)> = sqlx::query_as(
        "select c.relname::text, r.relname::text
         from pg_constraint f join pg_class c on c.oid = f.conrelid join pg_class r on r.oid = f.confrelid
         join pg_namespace n on n.oid = c.relnamespace
         where f.contype = 'f' and n.nspname = current_schema() and c.oid <> r.oid",
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut tables: Vec<Table> = Vec::new();
    for (name, column) in columns {
        match tables.last_mut().filter(|table| table.name == name) {
            Some(table) => table.columns.push(column),
            None => tables.push(Table { name, columns: vec![column] }),
        }
    }
    Ok(in_order(tables, &references))
}

/// Referred tables first. A circle, which the schema does not have, stays as it is.
fn in_order(mut waiting: Vec<Table>, references: &[(String, String)]) -> Vec<Table> {
    let mut ordered: Vec<Table> = Vec::with_capacity(waiting.len());
    loop {
        let is_waiting = |name: &String| waiting.iter().any(|table| table.name == *name);
        let blocked = |table: &Table| references.iter().any(|(from, to)| *from == table.name && is_waiting(to));
        let (later, now): (Vec<Table>, Vec<Table>) = waiting.iter().cloned().partition(blocked);
        if now.is_empty() {
            ordered.extend(later);
            return ordered;
        }
        ordered.extend(now);
        waiting = later;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn referred_tables_come_first() {
        let table = |name: &str| Table { name: name.to_owned(), columns: Vec::new() };
        let refers = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        let tables = vec![table("access_tokens"), table("devices"), table("rooms"), table("users")];
        let references = [refers("access_tokens", "devices"), refers("devices", "users")];
        let ordered = in_order(tables, &references);
        let names: Vec<&str> = ordered.iter().map(|table| table.name.as_str()).collect();
        assert_eq!(names, ["rooms", "users", "devices", "access_tokens"]);
        assert_eq!(table("od\"d").target(), "\"od\"\"d\" ()");
    }
}
