//! Table `departures`: users whose account has ended and who have yet to leave their rooms.

use matrixon_store::{Db, StoreError, Tx, exec};

pub(crate) async fn insert_departure(tx: &mut Tx, user_id: &str, now_ms: i64) -> Result<(), StoreError> {
    exec!(
        tx.ex(),
        "insert into departures (user_id, created_ts) values ($1, $2) on conflict do nothing",
        user_id,
        now_ms
    )?;
    Ok(())
}

/// The account is alive again: it stays in the rooms that it has not left yet.
pub(crate) async fn cancel_departure(tx: &mut Tx, user_id: &str) -> Result<(), StoreError> {
    exec!(tx.ex(), "delete from departures where user_id = $1", user_id)?;
    Ok(())
}

pub(crate) async fn delete_departure(db: &Db, user_id: &str) -> Result<(), StoreError> {
    exec!(db.write(), "delete from departures where user_id = $1", user_id)?;
    Ok(())
}
