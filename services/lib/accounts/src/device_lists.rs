//! Stream `device_lists`: whose devices or cross-signing keys changed.
//!
//! Rows that a later one of the same user supersedes are pruned after a week. Whoever asks for the users that changed
//! after some position therefore still finds all of them, only not each of their changes.

use matrixon_store::{Db, StoreError, from_row, sql};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceListRow {
    pub position: i64,
    /// Whose devices or keys changed.
    pub user_id: String,
    /// Empty: the cross-signing keys.
    pub device_id: String,
    /// The device is gone.
    pub deleted: bool,
    /// Not empty: only this user may be told.
    pub visible_to: String,
}
from_row!(DeviceListRow { position, user_id, device_id, deleted, visible_to });

/// The changes of `after < position <= to`, the oldest first.
pub async fn list_changes(db: &Db, after: i64, to: i64, limit: i64) -> Result<Vec<DeviceListRow>, StoreError> {
    sql!(
        db.read(),
        fetch_all as DeviceListRow,
        "select position, user_id, device_id, deleted, visible_to from device_list_changes
         where position > $1 and position <= $2 order by position limit $3",
        after,
        to,
        limit
    )
}

/// Those of `users` that changed in `after < position <= to` for the eyes of `viewer`, in no order.
pub async fn list_changed_users(
    db: &Db,
    viewer: &str,
    users: &[&str],
    after: i64,
    to: i64,
) -> Result<Vec<String>, StoreError> {
    let list = serde_json::Value::from(users).to_string();
    let rows = sql!(
        db.read(), fetch_all as (String,),
        pg: "select w.user_id from (select json_array_elements_text($1::json) as user_id) w
             where exists (select 1 from device_list_changes c where c.user_id = w.user_id
                               and c.position > $2 and c.position <= $3 and c.visible_to in ('', $4))",
        lite: "select w.value from json_each($1) w
               where exists (select 1 from device_list_changes c where c.user_id = w.value
                                 and c.position > $2 and c.position <= $3 and c.visible_to in ('', $4))",
        list.as_str(), after, to, viewer
    )?;
    Ok(rows.into_iter().map(|(user_id,)| user_id).collect())
}
