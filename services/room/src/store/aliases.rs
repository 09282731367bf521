//! Table `room_aliases`.

use matrixon_store::{Db, StoreError, exec, sql};

pub(crate) struct AliasRow {
    pub(crate) room: i64,
    pub(crate) room_id: String,
    pub(crate) creator: String,
    /// Of the request that made the alias.
    pub(crate) idempotency_key: Option<String>,
}

pub(crate) async fn find(db: &Db, alias: &str) -> Result<Option<AliasRow>, StoreError> {
    let row = sql!(
        db.read(),
        fetch_optional as (i64, String, String, Option<String>),
        "select a.room, r.room_id, a.creator, a.idempotency_key from room_aliases a join rooms r on r.id = a.room where a.alias = $1",
        alias
    )?;
    Ok(row.map(|(room, room_id, creator, idempotency_key)| AliasRow { room, room_id, creator, idempotency_key }))
}

pub(crate) async fn list(db: &Db, room: i64) -> Result<Vec<String>, StoreError> {
    let rows =
        sql!(db.read(), fetch_all as (String,), "select alias from room_aliases where room = $1 order by alias", room)?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// False: the alias is taken.
pub(crate) async fn insert(
    db: &Db,
    alias: &str,
    room: i64,
    creator: &str,
    idempotency_key: Option<&str>,
) -> Result<bool, StoreError> {
    let inserted = exec!(
        db.write(),
        "insert into room_aliases (alias, room, creator, idempotency_key) values ($1, $2, $3, $4)
         on conflict (alias) do nothing",
        alias,
        room,
        creator,
        idempotency_key
    )?;
    Ok(inserted > 0)
}

pub(crate) async fn delete(db: &Db, alias: &str) -> Result<bool, StoreError> {
    Ok(exec!(db.write(), "delete from room_aliases where alias = $1", alias)? > 0)
}
