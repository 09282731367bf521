//! Table `key_count_changes`, the rows of stream `key_counts`.

use matrixon_store::{Db, StoreError, Tx, exec};

/// Inserts the positions `first..`, one for each of `devices`, as one row under the last of them: whoever reads up to a place
/// among them learns of all of them with the rest.
pub(crate) async fn insert_changes(tx: &mut Tx, first: i64, devices: &[i64], now_ms: i64) -> Result<(), StoreError> {
    let Some(device) = devices.first() else { return Ok(()) };
    let list = (devices.len() > 1).then(|| serde_json::Value::from(devices).to_string());
    exec!(
        tx.ex(),
        "insert into key_count_changes (position, device, devices, created_ts) values ($1, $2, $3, $4)",
        first + devices.len() as i64 - 1,
        *device,
        list,
        now_ms
    )?;
    Ok(())
}

/// Deletes at most `limit` rows of before `cutoff_ms`.
pub(crate) async fn prune_changes(db: &Db, cutoff_ms: i64, limit: i64) -> Result<u64, StoreError> {
    exec!(
        db.write(),
        "delete from key_count_changes where position in (
             select position from key_count_changes where created_ts < $1 order by created_ts limit $2)",
        cutoff_ms,
        limit
    )
}
