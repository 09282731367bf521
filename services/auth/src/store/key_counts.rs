//! Table `key_count_changes`, the rows of stream `key_counts`.

use matrixon_store::{Db, Ex, StoreError, Tx, exec, sqlx, streams::Stream, timed};

/// Takes positions and inserts in one statement: the stream is locked for one round trip and the commit.
const ADVANCE_AND_INSERT: &str = "with p as (
         update stream_positions set position = position + $1 where stream = 'key_counts' returning position
     ), inserted as (
         insert into key_count_changes (position, device, devices, created_ts) select position, $2, $3, $4 from p
     )
     select position - $1 + 1 from p";

/// `device` and `devices` of a row.
pub(crate) fn columns(devices: &[i64]) -> (i64, Option<String>) {
    let list = (devices.len() > 1).then(|| serde_json::Value::from(devices).to_string());
    (devices.first().copied().unwrap_or_default(), list)
}

/// Takes the positions of changes of `devices`, of which there is one at least, and returns the first. They are one row under
/// the last of them: whoever reads up to a place among them learns of all of them with the rest.
pub(crate) async fn append(tx: &mut Tx, devices: &[i64], now_ms: i64) -> Result<i64, StoreError> {
    let count = devices.len() as i64;
    let (device, list) = columns(devices);
    if let Ex::Pg(connection) = tx.ex() {
        let query = sqlx::query_as::<_, (i64,)>(ADVANCE_AND_INSERT).bind(count).bind(device).bind(list).bind(now_ms);
        let (first,) = timed(ADVANCE_AND_INSERT, query.fetch_one(connection)).await?;
        return Ok(first);
    }
    let first = tx.advance(Stream::KEY_COUNTS, devices.len()).await?;
    exec!(
        tx.ex(),
        "insert into key_count_changes (position, device, devices, created_ts) values ($1, $2, $3, $4)",
        first + count - 1,
        device,
        list,
        now_ms
    )?;
    Ok(first)
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
