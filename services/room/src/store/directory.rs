//! The public room directory: `rooms.published`.

use matrixon_store::{Db, StoreError, exec, from_row, sql};

/// A published room, with the state that a directory shows as whole events.
#[derive(Clone, Debug)]
pub(crate) struct PublishedRow {
    pub(crate) id: i64,
    pub(crate) room_id: String,
    pub(crate) joined: i64,
}

from_row!(PublishedRow { id, room_id, joined });

pub(crate) async fn is_published(db: &Db, room: i64) -> Result<bool, StoreError> {
    let row = sql!(db.read(), fetch_optional as (bool,), "select published from rooms where id = $1", room)?;
    Ok(row.is_some_and(|row| row.0))
}

pub(crate) async fn set_published(db: &Db, room: i64, published: bool) -> Result<(), StoreError> {
    exec!(db.write(), "update rooms set published = $1 where id = $2", published, room).map(|_| ())
}

/// The biggest rooms first.
pub(crate) async fn list(db: &Db, offset: i64, limit: i64) -> Result<Vec<PublishedRow>, StoreError> {
    sql!(
        db.read(),
        fetch_all as PublishedRow,
        "select r.id, r.room_id,
                (select count(*) from memberships m where m.room = r.id and m.membership = 'join') as joined
         from rooms r where r.published order by joined desc, r.id limit $1 offset $2",
        limit,
        offset
    )
}

pub(crate) async fn count(db: &Db) -> Result<i64, StoreError> {
    sql!(db.read(), fetch_one as (i64,), "select count(*) from rooms where published").map(|row| row.0)
}
