//! Tables `key_queues`, `queued_keys`, `key_grants`, `key_uploads` and `fallback_keys`; [`super::claims`] gives the keys out.
//!
//! An upload that arrives again after its keys were claimed does not bring them back: ids that a device has uploaded
//! (`key_uploads`) are not taken a second time.

use std::collections::HashSet;

use matrixon_store::{Db, StoreError, Tx, exec, from_row, sql};

#[derive(Clone, Debug)]
pub(crate) struct FallbackRow {
    pub device: i64,
    pub key_id: String,
    pub json: String,
    pub used: bool,
}
from_row!(FallbackRow { device, key_id, json, used });

/// The fallback keys that `devices` (JSON: `[number, …]`) have of an algorithm, in the order of the devices.
pub(crate) async fn load_fallback_keys(
    tx: &mut Tx,
    devices: &str,
    algorithm: &str,
) -> Result<Vec<FallbackRow>, StoreError> {
    sql!(
        tx.ex(), fetch_all as FallbackRow,
        pg: "select device, key_id, json, used from fallback_keys
             where device in (select json_array_elements_text($1::json)::bigint) and algorithm = $2 order by device",
        lite: "select device, key_id, json, used from fallback_keys
               where device in (select value from json_each($1)) and algorithm = $2 order by device",
        devices, algorithm
    )
}

/// Marks fallback keys (JSON: `[{device, algorithm, key_id}]`, in the order of the devices) as given out.
pub(crate) async fn mark_fallback_keys_used(tx: &mut Tx, keys: &str) -> Result<(), StoreError> {
    exec!(
        tx.ex(),
        pg: "update fallback_keys f set used = true
             from json_to_recordset($1::json) as w (device bigint, algorithm text, key_id text)
             where f.device = w.device and f.algorithm = w.algorithm and f.key_id = w.key_id and not f.used",
        lite: "update fallback_keys set used = true where not used and (device, algorithm, key_id) in (
                   select value ->> '$.device', value ->> '$.algorithm', value ->> '$.key_id' from json_each($1))",
        keys
    )?;
    Ok(())
}

/// (algorithm, key id, JSON) of those of `keys` (JSON: `[{algorithm, key_id, json}]`) that the device still has to give. One
/// walk through its queues: `is true` keeps PostgreSQL from one for each of the keys.
pub(crate) async fn load_one_time_keys(
    tx: &mut Tx,
    device: i64,
    keys: &str,
) -> Result<Vec<(String, String, String)>, StoreError> {
    sql!(
        tx.ex(), fetch_all as (String, String, String),
        pg: "select q.algorithm, k.key_id, k.json
             from (select id, algorithm, key_queue_next(id, next) as next from key_queues where device = $1 offset 0) q
             join queued_keys k on k.queue = q.id and k.number >= q.next
             where ((q.algorithm, k.key_id) in (
                 select algorithm, key_id from json_to_recordset($2::json) as w (algorithm text, key_id text))) is true",
        lite: "select q.algorithm, k.key_id, k.json
               from key_queues q cross join queued_keys k on k.queue = q.id and k.number >= q.next
               where q.device = $1 and (q.algorithm, k.key_id) in (
                   select value ->> '$.algorithm', value ->> '$.key_id' from json_each($2))",
        device, keys
    )
}

/// Appends keys (JSON: `[{n, algorithm, key_id, json}]`) in the order of their `n`.
pub(crate) async fn insert_one_time_keys(tx: &mut Tx, device: i64, keys: &str) -> Result<(), StoreError> {
    exec!(
        tx.ex(),
        pg: "insert into key_queues (device, algorithm, ends)
             select $1, algorithm, count(*) from json_to_recordset($2::json) as w (algorithm text)
             group by algorithm order by algorithm
             on conflict (device, algorithm) do update set ends = key_queues.ends + excluded.ends",
        lite: "insert into key_queues (device, algorithm, ends)
               select $1, value ->> '$.algorithm' as algorithm, count(*) from json_each($2) where true group by 2
               on conflict (device, algorithm) do update set ends = ends + excluded.ends",
        device, keys
    )?;
    exec!(
        tx.ex(),
        pg: "insert into queued_keys (queue, number, key_id, json)
             select q.id, q.ends - count(*) over of_queue + row_number() over (of_queue order by w.n) - 1, w.key_id, w.json
             from json_to_recordset($2::json) as w (n bigint, algorithm text, key_id text, json text)
             join key_queues q on q.device = $1 and q.algorithm = w.algorithm
             window of_queue as (partition by q.id)",
        lite: "insert into queued_keys (queue, number, key_id, json)
               select q.id, q.ends - count(*) over of_queue + row_number() over (partition by q.id order by w.key) - 1,
                      w.value ->> '$.key_id', w.value ->> '$.json'
               from json_each($2) w join key_queues q on q.device = $1 and q.algorithm = w.value ->> '$.algorithm'
               window of_queue as (partition by q.id)",
        device, keys
    )?;
    Ok(())
}

/// `<algorithm>:<key id>` of what a device has uploaded lately.
pub(crate) async fn load_uploaded(tx: &mut Tx, device: i64) -> Result<HashSet<String>, StoreError> {
    let rows = sql!(tx.ex(), fetch_all as (String,), "select key_ids from key_uploads where device = $1", device)?;
    let mut uploaded = HashSet::new();
    for (ids,) in rows {
        let ids: Vec<String> =
            serde_json::from_str(&ids).map_err(|error| StoreError::inconsistent("key_uploads", error))?;
        uploaded.extend(ids);
    }
    Ok(uploaded)
}

/// Remembers ids (`<algorithm>:<key id>`) of keys that a device has uploaded.
pub(crate) async fn insert_upload(tx: &mut Tx, device: i64, ids: &[&str], now_ms: i64) -> Result<(), StoreError> {
    let ids = serde_json::Value::from(ids).to_string();
    exec!(tx.ex(), "insert into key_uploads (device, key_ids, created_ts) values ($1, $2, $3)", device, ids, now_ms)?;
    Ok(())
}

/// True: another key than before, which nobody has been given yet.
pub(crate) async fn upsert_fallback_key(
    tx: &mut Tx,
    device: i64,
    (algorithm, key_id): (&str, &str),
    json: &str,
) -> Result<bool, StoreError> {
    let touched = exec!(
        tx.ex(),
        "insert into fallback_keys (device, algorithm, key_id, json, used) values ($1, $2, $3, $4, false)
         on conflict (device, algorithm) do update set key_id = excluded.key_id, json = excluded.json, used = false
             where fallback_keys.key_id <> excluded.key_id or fallback_keys.json <> excluded.json",
        device,
        algorithm,
        key_id,
        json
    )?;
    Ok(touched > 0)
}

/// (algorithm, count)
pub(crate) async fn count_one_time_keys(tx: &mut Tx, device: i64) -> Result<Vec<(String, i64)>, StoreError> {
    sql!(
        tx.ex(),
        fetch_all as (String, i64),
        pg: "select algorithm, ends - next
             from (select algorithm, key_queue_next(id, next) as next, ends from key_queues where device = $1 offset 0) q
             where next < ends",
        lite: "select algorithm, ends - next from key_queues where device = $1 and next < ends",
        device
    )
}

/// Forgets at most `limit` claims of before `cutoff_ms`, with the keys that they gave out.
pub(crate) async fn prune_grants(db: &Db, cutoff_ms: i64, limit: i64) -> Result<u64, StoreError> {
    let mut tx = db.begin().await?;
    let pruned = sql!(
        tx.ex(), fetch_all as (String,),
        pg: "delete from key_grants where (request, algorithm) in (
                 select request, algorithm from key_grants
                 where created_ts < $1 and (seq is null or seq <= (select seq from key_grant_log where name = 'folded'))
                 limit $2 for update skip locked)
             returning given",
        lite: "delete from key_grants where (request, algorithm) in (
                   select request, algorithm from key_grants where created_ts < $1 limit $2)
               returning given",
        cutoff_ms, limit
    )?;
    let mut keys: Vec<(i64, i64)> = Vec::new();
    for (given,) in &pruned {
        let given: Vec<(i64, i64)> =
            serde_json::from_str(given).map_err(|error| StoreError::inconsistent("key_grants", error))?;
        keys.extend(given);
    }
    // in one statement and in their order: the deletion of a device goes through its keys in that order too
    keys.sort_unstable();
    exec!(
        tx.ex(),
        pg: "delete from queued_keys k using json_array_elements($1::json) w
             where k.queue = (w ->> 0)::bigint and k.number = (w ->> 1)::bigint",
        lite: "delete from queued_keys where (queue, number) in (select value ->> 0, value ->> 1 from json_each($1))",
        serde_json::json!(keys).to_string()
    )?;
    tx.commit().await?;
    Ok(pruned.len() as u64)
}

/// Forgets at most `limit` uploads of before `cutoff_ms`.
pub(crate) async fn prune_uploads(db: &Db, cutoff_ms: i64, limit: i64) -> Result<u64, StoreError> {
    exec!(
        db.write(),
        pg: "delete from key_uploads where ctid in (select ctid from key_uploads where created_ts < $1 limit $2)",
        lite: "delete from key_uploads where rowid in (select rowid from key_uploads where created_ts < $1 limit $2)",
        cutoff_ms,
        limit
    )
}

/// Empties the queues with ids beyond `after`, at most `limit` of them: the last one's id and the number of keys that had not
/// been given out. None: there are no more.
pub(crate) async fn empty_queues(db: &Db, after: i64, limit: i64) -> Result<Option<(i64, i64)>, StoreError> {
    let mut tx = db.begin().await?;
    let (last, waiting) = sql!(
        tx.ex(),
        fetch_one as (Option<i64>, Option<i64>),
        "select max(id), cast(sum(ends - next) as bigint)
         from (select id, next, ends from key_queues where id > $1 order by id limit $2) q",
        after,
        limit
    )?;
    let (Some(last), Some(waiting)) = (last, waiting) else { return Ok(None) };
    if db.is_postgres() {
        exec!(tx.ex(), "select set_config('matrixon.folds', 'on', true)")?;
    }
    exec!(tx.ex(), "delete from queued_keys where queue > $1 and queue <= $2", after, last)?;
    exec!(tx.ex(), "update key_queues set next = ends where id > $1 and id <= $2 and next < ends", after, last)?;
    tx.commit().await?;
    Ok(Some((last, waiting)))
}

/// Forgets at most `limit` claims, whose keys are gone; how many.
pub(crate) async fn delete_grants(db: &Db, limit: i64) -> Result<u64, StoreError> {
    exec!(
        db.write(),
        "delete from key_grants where (request, algorithm) in (select request, algorithm from key_grants limit $1)",
        limit
    )
}

/// Marks at most `limit` unused fallback keys as used.
pub(crate) async fn use_fallback_keys(db: &Db, limit: i64) -> Result<u64, StoreError> {
    exec!(
        db.write(),
        "update fallback_keys set used = true where (device, algorithm) in (
             select device, algorithm from fallback_keys where not used order by device limit $1)",
        limit
    )
}
