//! Sizes for `matrixon database stats`.

use crate::{Db, StoreError, sql};

#[derive(Clone, Debug)]
pub struct TableStats {
    pub table: String,
    /// PostgreSQL: the planner's estimate. SQLite: exact.
    pub rows: i64,
    pub bytes: i64,
}

pub async fn tables(db: &Db) -> Result<Vec<TableStats>, StoreError> {
    let rows = sql!(
        db.read(), fetch_all as (String, i64, i64),
        pg: "select c.relname::text, greatest(c.reltuples, 0)::bigint, pg_total_relation_size(c.oid)::bigint
             from pg_class c join pg_namespace n on n.oid = c.relnamespace
             where c.relkind = 'r' and n.nspname = current_schema() order by 3 desc",
        lite: "select m.name, cast(0 as bigint), coalesce((select sum(pgsize) from dbstat where name in
                 (select name from sqlite_master where tbl_name = m.name)), 0)
               from sqlite_master m where m.type = 'table' order by 3 desc"
    )?;
    let mut tables: Vec<_> = rows.into_iter().map(|(table, rows, bytes)| TableStats { table, rows, bytes }).collect();
    if let Db::Sqlite { read, .. } = db {
        for table in &mut tables {
            // the name comes from the schema, not from a user
            let text = format!("select count(*) from \"{}\"", table.table.replace('"', "\"\""));
            let (count,): (i64,) = sqlx::query_as(sqlx::AssertSqlSafe(text)).fetch_one(read).await?;
            table.rows = count;
        }
    }
    Ok(tables)
}
