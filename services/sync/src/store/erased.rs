//! What erased users left in this service's tables.

use matrixon_store::{Db, StoreError, exec};

macro_rules! delete_from {
    ($table:literal) => {
        concat!(
            "delete from ",
            $table,
            " where user_id in (select u.user_id from users u
                 where u.erased and exists (select 1 from ",
            $table,
            " t where t.user_id = u.user_id) limit $1)"
        )
    };
}

/// Deletes account data and filters of at most `limit` users, and tells how many rows that were.
pub(crate) async fn delete_data(db: &Db, limit: i64) -> Result<u64, StoreError> {
    let account_data = exec!(db.write(), delete_from!("account_data"), limit)?;
    let filters = exec!(db.write(), delete_from!("filters"), limit)?;
    Ok(account_data + filters)
}
