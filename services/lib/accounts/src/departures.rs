//! Users whose account has ended and who have yet to leave their rooms.

use matrixon_store::{Db, StoreError, sql};

/// Those who wait longest, at most `limit`.
pub async fn list_departures(db: &Db, limit: i64) -> Result<Vec<String>, StoreError> {
    let rows =
        sql!(db.read(), fetch_all as (String,), "select user_id from departures order by created_ts limit $1", limit)?;
    Ok(rows.into_iter().map(|(user_id,)| user_id).collect())
}
