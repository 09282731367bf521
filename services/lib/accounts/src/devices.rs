//! Devices and their interned numbers.

use matrixon_store::{Db, StoreError, sql};

/// The interned number of a device. A device that is deleted and made again gets another number.
pub async fn find_device(db: &Db, user_id: &str, device_id: &str) -> Result<Option<i64>, StoreError> {
    let found = sql!(
        db.read(),
        fetch_optional as (i64,),
        "select d.id from devices d join users u on u.id = d.account where u.user_id = $1 and d.device_id = $2",
        user_id,
        device_id
    )?;
    Ok(found.map(|(id,)| id))
}

/// Ids of the user's devices, in the order in which they were made.
pub async fn list_device_ids(db: &Db, user_id: &str) -> Result<Vec<String>, StoreError> {
    let rows = sql!(
        db.read(),
        fetch_all as (String,),
        "select d.device_id from devices d join users u on u.id = d.account where u.user_id = $1 order by d.id",
        user_id
    )?;
    Ok(rows.into_iter().map(|(device_id,)| device_id).collect())
}
