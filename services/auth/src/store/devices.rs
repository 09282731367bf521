//! Table `devices`.

use std::collections::HashMap;

use matrixon_store::{Db, StoreError, Tx, exec, from_row, sql};
use serde::Serialize;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeviceRow {
    pub id: i64,
    pub device_id: String,
    pub display_name: Option<String>,
    pub last_seen_ts: i64,
    pub last_seen_ip: Option<String>,
    pub last_seen_user_agent: Option<String>,
}
from_row!(DeviceRow { id, device_id, display_name, last_seen_ts, last_seen_ip, last_seen_user_agent });

#[derive(Clone, Debug)]
pub(crate) struct NewDevice<'a> {
    pub account: i64,
    pub device_id: &'a str,
    pub display_name: Option<&'a str>,
    pub seen_ts: i64,
    pub seen_ip: Option<&'a str>,
    pub seen_user_agent: Option<&'a str>,
}

/// When and from where a device was last heard of.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Seen {
    pub device: i64,
    pub ts: i64,
    pub ip: Option<String>,
    pub user_agent: Option<String>,
}

/// Makes the device, or finds it: the name of a known device stays. The row is locked for the transaction. True: it is
/// new (or as young as this millisecond).
pub(crate) async fn upsert_device(tx: &mut Tx, device: &NewDevice<'_>) -> Result<(i64, bool), StoreError> {
    sql!(
        tx.ex(),
        fetch_one as (i64, bool),
        "insert into devices
             (account, device_id, display_name, created_ts, last_seen_ts, last_seen_ip, last_seen_user_agent)
         values ($1, $2, $3, $4, $4, $5, $6)
         on conflict (account, device_id) do update set last_seen_ts = excluded.last_seen_ts,
             last_seen_ip = excluded.last_seen_ip, last_seen_user_agent = excluded.last_seen_user_agent
         returning id, created_ts = last_seen_ts",
        device.account,
        device.device_id,
        device.display_name,
        device.seen_ts,
        device.seen_ip,
        device.seen_user_agent
    )
}

/// Locks the device for the transaction; whatever changes tokens does this first.
pub(crate) async fn lock_device(tx: &mut Tx, id: i64) -> Result<(), StoreError> {
    sql!(
        tx.ex(), fetch_optional as (i64,),
        pg: "select id from devices where id = $1 for update",
        lite: "select id from devices where id = $1", // one writer at a time anyway
        id
    )?;
    Ok(())
}

pub(crate) async fn list_devices(db: &Db, user_id: &str) -> Result<Vec<DeviceRow>, StoreError> {
    sql!(
        db.read(),
        fetch_all as DeviceRow,
        "select d.id, d.device_id, d.display_name, d.last_seen_ts, d.last_seen_ip, d.last_seen_user_agent
         from devices d join users u on u.id = d.account where u.user_id = $1 order by d.id",
        user_id
    )
}

pub(crate) async fn find_device(db: &Db, user_id: &str, device_id: &str) -> Result<Option<DeviceRow>, StoreError> {
    sql!(
        db.read(),
        fetch_optional as DeviceRow,
        "select d.id, d.device_id, d.display_name, d.last_seen_ts, d.last_seen_ip, d.last_seen_user_agent
         from devices d join users u on u.id = d.account where u.user_id = $1 and d.device_id = $2",
        user_id,
        device_id
    )
}

/// False: no such device.
pub(crate) async fn update_display_name(
    tx: &mut Tx,
    user_id: &str,
    device_id: &str,
    display_name: Option<&str>,
) -> Result<bool, StoreError> {
    let touched = exec!(
        tx.ex(),
        "update devices set display_name = $3
         where account = (select id from users where user_id = $1) and device_id = $2",
        user_id,
        device_id,
        display_name
    )?;
    Ok(touched > 0)
}

/// Deletes devices with their tokens and returns which there were. Locked in the order of their ids, as everywhere:
/// two deletions of the same devices do not wait for each other.
pub(crate) async fn delete_devices(tx: &mut Tx, user_id: &str, device_ids: &[&str]) -> Result<Vec<String>, StoreError> {
    let list = serde_json::Value::from(device_ids).to_string();
    let rows = sql!(
        tx.ex(), fetch_all as (String,),
        pg: "delete from devices where id in (
                 select id from devices where account = (select id from users where user_id = $1)
                     and device_id in (select json_array_elements_text($2::json)) order by id for update)
             returning device_id",
        lite: "delete from devices where account = (select id from users where user_id = $1)
                   and device_id in (select value from json_each($2)) returning device_id",
        user_id, list.as_str()
    )?;
    Ok(sorted(rows))
}

/// Deletes every device of the user except `keep`, with their tokens, and returns their ids.
pub(crate) async fn delete_devices_except(
    tx: &mut Tx,
    user_id: &str,
    keep: Option<&str>,
) -> Result<Vec<String>, StoreError> {
    let rows = sql!(
        tx.ex(), fetch_all as (String,),
        pg: "delete from devices where id in (
                 select id from devices where account = (select id from users where user_id = $1)
                     and ($2 is null or device_id <> $2) order by id for update)
             returning device_id",
        lite: "delete from devices where account = (select id from users where user_id = $1)
                   and ($2 is null or device_id <> $2) returning device_id",
        user_id, keep
    )?;
    Ok(sorted(rows))
}

fn sorted(rows: Vec<(String,)>) -> Vec<String> {
    let mut device_ids: Vec<String> = rows.into_iter().map(|(device_id,)| device_id).collect();
    device_ids.sort_unstable();
    device_ids
}

/// The interned numbers of devices, by user id and device id; unknown ones are left out.
pub(crate) async fn load_ids(db: &Db, devices: &[(&str, &str)]) -> Result<HashMap<(String, String), i64>, StoreError> {
    let list: serde_json::Value = devices.iter().map(|(user_id, device_id)| [*user_id, *device_id]).collect();
    let list = list.to_string();
    let rows = sql!(
        db.read(), fetch_all as (String, String, i64),
        pg: "select u.user_id, d.device_id, d.id from json_array_elements($1::json) s
             join users u on u.user_id = s ->> 0 join devices d on d.account = u.id and d.device_id = s ->> 1",
        lite: "select u.user_id, d.device_id, d.id from json_each($1) s
               join users u on u.user_id = s.value ->> 0 join devices d on d.account = u.id and d.device_id = s.value ->> 1",
        list.as_str()
    )?;
    Ok(rows.into_iter().map(|(user_id, device_id, id)| ((user_id, device_id), id)).collect())
}

/// Writes many sightings in one statement; older ones than what is stored change nothing.
pub(crate) async fn update_last_seen(db: &Db, seen: &[Seen]) -> Result<(), StoreError> {
    let list = serde_json::to_string(seen).map_err(|error| StoreError::inconsistent("devices", error))?;
    exec!(
        db.write(),
        pg: "update devices d set last_seen_ts = s.ts, last_seen_ip = coalesce(s.ip, d.last_seen_ip),
                     last_seen_user_agent = coalesce(s.user_agent, d.last_seen_user_agent)
                 from (select * from json_to_recordset($1::json)
                           as s (device bigint, ts bigint, ip text, user_agent text) order by device) s
                 where d.id = s.device and d.last_seen_ts < s.ts",
        lite: "update devices set last_seen_ts = s.ts, last_seen_ip = coalesce(s.ip, last_seen_ip),
                       last_seen_user_agent = coalesce(s.user_agent, last_seen_user_agent)
                   from (select value ->> '$.device' as device, value ->> '$.ts' as ts,
                                value ->> '$.ip' as ip, value ->> '$.user_agent' as user_agent
                         from json_each($1)) s
                   where devices.id = s.device and last_seen_ts < s.ts",
        list.as_str()
    )?;
    Ok(())
}
