//! Table `device_keys`.

use matrixon_store::{Db, StoreError, Tx, exec, from_row, sql};

/// A device that a transaction has locked, with its identity keys.
#[derive(Clone, Debug)]
pub(crate) struct LockedDevice {
    pub id: i64,
    pub device_id: String,
    pub json: Option<String>,
}
from_row!(LockedDevice { id, device_id, json });

#[derive(Clone, Debug)]
pub(crate) struct DeviceRow {
    pub user_id: String,
    pub device: i64,
    pub device_id: String,
    pub display_name: Option<String>,
    /// None: it has no identity keys.
    pub json: Option<String>,
}
from_row!(DeviceRow { user_id, device, device_id, display_name, json });

/// Locks devices of a user in the order of their ids: whatever changes their keys does this first. Unknown ones are
/// left out.
pub(crate) async fn lock_devices(
    tx: &mut Tx,
    user_id: &str,
    device_ids: &[&str],
) -> Result<Vec<LockedDevice>, StoreError> {
    let list = serde_json::Value::from(device_ids).to_string();
    sql!(
        tx.ex(), fetch_all as LockedDevice,
        pg: "select d.id, d.device_id, k.json
             from users u join devices d on d.account = u.id left join device_keys k on k.device = d.id
             where u.user_id = $1 and d.device_id in (select json_array_elements_text($2::json))
             order by d.id for no key update of d",
        lite: "select d.id, d.device_id, k.json
               from users u join devices d on d.account = u.id left join device_keys k on k.device = d.id
               where u.user_id = $1 and d.device_id in (select value from json_each($2)) order by d.id",
        user_id, list.as_str()
    )
}

pub(crate) async fn find_device_keys(db: &Db, user_id: &str, device_id: &str) -> Result<Option<String>, StoreError> {
    let found = sql!(
        db.read(),
        fetch_optional as (String,),
        "select k.json from users u join devices d on d.account = u.id join device_keys k on k.device = d.id
         where u.user_id = $1 and d.device_id = $2",
        user_id,
        device_id
    )?;
    Ok(found.map(|(json,)| json))
}

pub(crate) async fn upsert_device_keys(tx: &mut Tx, device: i64, json: &str) -> Result<(), StoreError> {
    exec!(
        tx.ex(),
        "insert into device_keys (device, json) values ($1, $2) on conflict (device) do update set json = excluded.json",
        device,
        json
    )?;
    Ok(())
}

/// Every device of these users, with its identity keys.
pub(crate) async fn load_devices(db: &Db, user_ids: &str) -> Result<Vec<DeviceRow>, StoreError> {
    sql!(
        db.read(), fetch_all as DeviceRow,
        pg: "select u.user_id, d.id as device, d.device_id, d.display_name, k.json
             from (select json_array_elements_text($1::json) as user_id) w join users u on u.user_id = w.user_id
             join devices d on d.account = u.id left join device_keys k on k.device = d.id order by u.id, d.id",
        lite: "select u.user_id, d.id as device, d.device_id, d.display_name, k.json
               from json_each($1) w join users u on u.user_id = w.value
               join devices d on d.account = u.id left join device_keys k on k.device = d.id order by u.id, d.id",
        user_ids
    )
}

/// Whether any of these is the id of a device of the user.
pub(crate) async fn any_device(tx: &mut Tx, user_id: &str, device_ids: &[&str]) -> Result<bool, StoreError> {
    let list = serde_json::Value::from(device_ids).to_string();
    let found = sql!(
        tx.ex(), fetch_optional as (i64,),
        pg: "select d.id from users u join devices d on d.account = u.id
             where u.user_id = $1 and d.device_id in (select json_array_elements_text($2::json)) limit 1",
        lite: "select d.id from users u join devices d on d.account = u.id
               where u.user_id = $1 and d.device_id in (select value from json_each($2)) limit 1",
        user_id, list.as_str()
    )?;
    Ok(found.is_some())
}
