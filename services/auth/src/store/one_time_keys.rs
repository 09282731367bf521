//! Tables `one_time_keys`, `fallback_keys`, `key_claims` and `key_uploads`.
//!
//! # Why a claim neither gives a key twice nor misses one
//! Claims take turns, in the whole cluster ([`take_turn`]): one that finds nothing knows that there is nothing, and a key is
//! deleted in the transaction that gives it out. What limits them is then the work on each key, so there is as little of it as
//! can be: one look-up and one deletion. The rest is a row a request: what a claim gave is kept for an hour in `key_claims`,
//! so that one that arrives twice (same idempotency key) gets the same keys.
//!
//! An upload that arrives again after its keys were claimed does not bring them back: ids that a device has uploaded
//! (`key_uploads`) are not taken a second time.

use std::collections::HashSet;

use matrixon_store::{Db, StoreError, Tx, exec, from_row, sql};

/// PostgreSQL advisory lock under which keys are given out ("mxotk").
const CLAIMS: i64 = 0x6d_786f_746b;

#[derive(Clone, Debug)]
pub(crate) struct FallbackRow {
    pub device: i64,
    pub key_id: String,
    pub json: String,
    pub used: bool,
}
from_row!(FallbackRow { device, key_id, json, used });

/// Waits until no other transaction gives out keys, and keeps others from it until this one ends.
pub(crate) async fn take_turn(tx: &mut Tx) -> Result<(), StoreError> {
    // SQLite has one writer at a time
    if matches!(tx, Tx::Pg(_)) {
        exec!(tx.ex(), "select pg_advisory_xact_lock($1)", CLAIMS)?;
    }
    Ok(())
}

/// What one request wants: a key of an algorithm of each of these devices (JSON: `[number, …]`).
pub(crate) struct Claim {
    pub devices: String,
    pub algorithm: String,
    /// Its idempotency key.
    pub request: String,
}

/// Gives out the oldest key of each device that has one; with the same `request`, what that was given before.
/// JSON: `[[device, "key id", key], …]`; none, if there is not a single key. After [`take_turn`].
pub(crate) async fn claim(tx: &mut Tx, claim: &Claim, now_ms: i64) -> Result<Option<String>, StoreError> {
    match tx {
        Tx::Pg(_) => claim_postgres(tx, claim, now_ms).await,
        Tx::Sqlite(_) => claim_sqlite(tx, claim, now_ms).await,
    }
}

async fn claim_postgres(tx: &mut Tx, claim: &Claim, now_ms: i64) -> Result<Option<String>, StoreError> {
    let given = sql!(
        tx.ex(),
        fetch_optional as (String,),
        "with before as materialized (
             select given from key_claims where request = $3 and algorithm = $2
         ), chosen as materialized (
             select k.place
             from unnest(string_to_array(btrim($1, '[]'), ',')::bigint[]) as w (device) cross join lateral (
                 select o.ctid as place from one_time_keys o
                 where o.device = w.device and o.algorithm = $2 order by o.id limit 1) k
             where not exists (select 1 from before)
         ), gone as (
             delete from one_time_keys o using chosen c where o.ctid = c.place returning o.device, o.key_id, o.json
         ), packed as materialized (
             select '[' || string_agg(format('[%s,%s,%s]', device, to_json(key_id), json), ',') || ']' as given
             from gone having count(*) > 0
         ), kept as (
             insert into key_claims (request, algorithm, given, created_ts) select $3, $2, given, $4 from packed
         )
         select given from packed union all select given from before",
        claim.devices.as_str(),
        claim.algorithm.as_str(),
        claim.request.as_str(),
        now_ms
    )?;
    Ok(given.map(|(given,)| given))
}

async fn claim_sqlite(tx: &mut Tx, claim: &Claim, now_ms: i64) -> Result<Option<String>, StoreError> {
    let before = sql!(
        tx.ex(),
        fetch_optional as (String,),
        "select given from key_claims where request = $1 and algorithm = $2",
        claim.request.as_str(),
        claim.algorithm.as_str()
    )?;
    if let Some((given,)) = before {
        return Ok(Some(given));
    }
    let chosen = sql!(
        tx.ex(),
        fetch_one as (Option<String>, Option<String>),
        "select json_group_array(k.id),
                '[' || group_concat('[' || k.device || ',' || json_quote(k.key_id) || ',' || k.json || ']') || ']'
         from json_each($1) w cross join one_time_keys k on k.id = (
             select min(o.id) from one_time_keys o where o.device = w.value and o.algorithm = $2)",
        claim.devices.as_str(),
        claim.algorithm.as_str()
    )?;
    let (Some(ids), Some(given)) = chosen else { return Ok(None) };
    exec!(tx.ex(), "delete from one_time_keys where id in (select value from json_each($1))", ids)?;
    exec!(
        tx.ex(),
        "insert into key_claims (request, algorithm, given, created_ts) values ($1, $2, $3, $4)",
        claim.request.as_str(),
        claim.algorithm.as_str(),
        given.as_str(),
        now_ms
    )?;
    Ok(Some(given))
}

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

// `offset 0` and `cross join` keep both databases to one look-up a key; left to themselves they might go through all keys of
// the device for every one.

/// (algorithm, key id, JSON) of those of `keys` (JSON: `[{algorithm, key_id, json}]`) that the device has.
pub(crate) async fn load_one_time_keys(
    tx: &mut Tx,
    device: i64,
    keys: &str,
) -> Result<Vec<(String, String, String)>, StoreError> {
    sql!(
        tx.ex(), fetch_all as (String, String, String),
        pg: "select k.algorithm, k.key_id, k.json
             from json_to_recordset($2::json) as w (algorithm text, key_id text) cross join lateral (
                 select * from one_time_keys o
                 where o.device = $1 and o.algorithm = w.algorithm and o.key_id = w.key_id offset 0) k",
        lite: "select k.algorithm, k.key_id, k.json from json_each($2) w cross join one_time_keys k
                   on k.device = $1 and k.algorithm = w.value ->> '$.algorithm' and k.key_id = w.value ->> '$.key_id'",
        device, keys
    )
}

/// Adds keys (JSON: `[{algorithm, key_id, json}]`) in their order.
pub(crate) async fn insert_one_time_keys(tx: &mut Tx, device: i64, keys: &str) -> Result<(), StoreError> {
    exec!(
        tx.ex(),
        pg: "insert into one_time_keys (device, algorithm, key_id, json)
             select $1, w.algorithm, w.key_id, w.json
             from json_to_recordset($2::json) as w (n bigint, algorithm text, key_id text, json text) order by w.n",
        lite: "insert into one_time_keys (device, algorithm, key_id, json)
               select $1, value ->> '$.algorithm', value ->> '$.key_id', value ->> '$.json'
               from json_each($2) where true order by key",
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
        "select algorithm, count(*) from one_time_keys where device = $1 group by algorithm",
        device
    )
}

/// Forgets at most `limit` claims of before `cutoff_ms`.
pub(crate) async fn prune_claims(db: &Db, cutoff_ms: i64, limit: i64) -> Result<u64, StoreError> {
    exec!(
        db.write(),
        "delete from key_claims where (request, algorithm) in (
             select request, algorithm from key_claims where created_ts < $1 limit $2)",
        cutoff_ms,
        limit
    )
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

/// Deletes every one-time key, and marks every fallback key as used; how many of each. Batches of `limit`.
pub(crate) async fn invalidate_batch(db: &Db, limit: i64) -> Result<(u64, u64), StoreError> {
    let deleted = exec!(
        db.write(),
        "delete from one_time_keys where (device, algorithm, key_id) in (
             select device, algorithm, key_id from one_time_keys order by device limit $1)",
        limit
    )?;
    let used = exec!(
        db.write(),
        "update fallback_keys set used = true where (device, algorithm) in (
             select device, algorithm from fallback_keys where not used order by device limit $1)",
        limit
    )?;
    Ok((deleted, used))
}
