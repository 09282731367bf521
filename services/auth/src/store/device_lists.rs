//! Table `device_list_changes`, the rows of stream `device_lists`.

use matrixon_store::{Db, StoreError, Tx, exec};
use serde_json::{Value, json};

use crate::outbox::DeviceListChange;

/// Inserts the rows of positions `first..`.
pub(crate) async fn insert_changes(
    tx: &mut Tx,
    first: i64,
    changes: &[DeviceListChange],
    now_ms: i64,
) -> Result<(), StoreError> {
    let rows: Value = (first..)
        .zip(changes)
        .map(|(position, change)| {
            json!({ "position": position, "user_id": change.user_id, "device_id": change.device_id,
                    "deleted": change.deleted, "visible_to": change.visible_to })
        })
        .collect();
    let rows = rows.to_string();
    exec!(
        tx.ex(),
        pg: "insert into device_list_changes (position, user_id, device_id, deleted, visible_to, created_ts)
             select position, user_id, device_id, deleted, visible_to, $2 from json_to_recordset($1::json)
                 as c (position bigint, user_id text, device_id text, deleted boolean, visible_to text)",
        lite: "insert into device_list_changes (position, user_id, device_id, deleted, visible_to, created_ts)
               select value ->> '$.position', value ->> '$.user_id', value ->> '$.device_id', value ->> '$.deleted',
                      value ->> '$.visible_to', $2 from json_each($1)",
        rows.as_str(), now_ms
    )?;
    Ok(())
}

/// Deletes at most `limit` rows of before `cutoff_ms` that a later one of the same user, told to the same people,
/// supersedes.
pub(crate) async fn prune_changes(db: &Db, cutoff_ms: i64, limit: i64) -> Result<u64, StoreError> {
    exec!(
        db.write(),
        "delete from device_list_changes where position in (
             select c.position from device_list_changes c
             where c.created_ts < $1 and exists (
                 select 1 from device_list_changes l
                 where l.user_id = c.user_id and l.position > c.position and l.visible_to = c.visible_to)
             order by c.position limit $2)",
        cutoff_ms,
        limit
    )
}
