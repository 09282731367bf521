//! Table `key_count_changes`, the rows of stream `key_counts`.

use matrixon_store::{Db, StoreError, Tx, exec};

/// Inserts the rows of positions `first..`.
pub(crate) async fn insert_changes(tx: &mut Tx, first: i64, devices: &[i64], now_ms: i64) -> Result<(), StoreError> {
    let list = serde_json::Value::from(devices).to_string();
    exec!(
        tx.ex(),
        pg: "insert into key_count_changes (position, device, created_ts)
             select $1 + n - 1, device::bigint, $3
             from json_array_elements_text($2::json) with ordinality as d (device, n)",
        lite: "insert into key_count_changes (position, device, created_ts)
               select $1 + key, value, $3 from json_each($2)",
        first, list.as_str(), now_ms
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
