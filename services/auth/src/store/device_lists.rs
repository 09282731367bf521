//! Table `device_list_changes`, the rows of stream `device_lists`.

use matrixon_store::{Db, StoreError, Tx, exec, sql};
use serde_json::{Value, json};

/// A change of somebody's devices or keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeviceListChange {
    pub user_id: String,
    /// Empty: the cross-signing keys.
    pub device_id: String,
    pub deleted: bool,
    /// Not empty: only this user is told.
    pub visible_to: String,
}

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

/// What the stream has after a position.
#[derive(Debug)]
pub(crate) struct Changed {
    pub head: i64,
    /// None: more than can be named.
    pub users: Option<Vec<String>>,
}

/// Users with changes after a position.
pub(crate) async fn list_changed(db: &Db, after: i64) -> Result<Changed, StoreError> {
    const MAX_USERS: usize = 1_000;
    let rows = sql!(
        db.read(),
        fetch_all as (i64, Option<String>),
        "select s.position, c.user_id
         from stream_positions s left join device_list_changes c on c.position > $1 and c.position <= s.position
         where s.stream = 'device_lists' limit $2",
        after,
        MAX_USERS as i64 + 1
    )?;
    let head = rows.first().map_or(0, |(head, _)| *head);
    let users = (rows.len() <= MAX_USERS).then(|| rows.into_iter().filter_map(|(_, user_id)| user_id).collect());
    Ok(Changed { head, users })
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
