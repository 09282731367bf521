//! Table `filters`.

use matrixon_store::{Db, StoreError, exec, sql};

/// A client that posts a new filter at every start must not fill the table.
const MAX_FILTERS: i64 = 1_000;

pub(crate) async fn find(db: &Db, user_id: &str, id: i64) -> Result<Option<String>, StoreError> {
    let row = sql!(
        db.read(),
        fetch_optional as (String,),
        "select filter from filters where user_id = $1 and id = $2",
        user_id,
        id
    )?;
    Ok(row.map(|row| row.0))
}

/// The id of this filter, old or new; None if the user has too many.
pub(crate) async fn insert(db: &Db, user_id: &str, sha256: &[u8], filter: &str) -> Result<Option<i64>, StoreError> {
    loop {
        let known = sql!(
            db.read(),
            fetch_optional as (i64,),
            "select id from filters where user_id = $1 and sha256 = $2",
            user_id,
            sha256
        )?;
        if let Some((id,)) = known {
            return Ok(Some(id));
        }
        let (last,) = sql!(
            db.read(),
            fetch_one as (i64,),
            "select coalesce(max(id), 0) from filters where user_id = $1",
            user_id
        )?;
        if last >= MAX_FILTERS {
            return Ok(None);
        }
        let inserted = exec!(
            db.write(),
            "insert into filters (user_id, id, sha256, filter) values ($1, $2, $3, $4) on conflict do nothing",
            user_id,
            last + 1,
            sha256,
            filter
        )?;
        if inserted > 0 {
            return Ok(Some(last + 1));
        }
    }
}
