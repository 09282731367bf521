//! Tables `one_time_keys`, `fallback_keys` and `claimed_keys`.
//!
//! # Why a claim neither gives a key twice nor misses one
//! A claimed key is deleted in the transaction that gives it out, so its row lock decides between claimers. [`claim`]
//! first passes over keys that others are about to take (`skip locked`): many claimers of one device go on side by
//! side, each with the oldest key that is free. Where it found nothing, every key may only be *locked*: by claims that
//! have not ended, or that roll back. So whoever got none asks again with [`Waiting::For`], which waits for each of
//! those locks in turn; only when that finds nothing either, there is nothing. The two are transactions of their own:
//! whoever waits holds no keys but those of devices that come before, in one order for all, so nobody waits in a circle.
//!
//! What was given out is kept for a week in `claimed_keys`, written in the same statement: a claim that arrives twice
//! (same idempotency key) gets the same keys, and an upload that arrives again after its key was claimed does not bring
//! it back.

use matrixon_store::{Db, StoreError, Tx, exec, from_row, sql};

#[derive(Clone, Debug)]
pub(crate) struct ClaimedRow {
    /// Which of the wanted keys this is.
    pub n: i64,
    pub device: i64,
    pub key_id: String,
    pub json: String,
}
from_row!(ClaimedRow { n, device, key_id, json });

#[derive(Clone, Debug)]
pub(crate) struct FallbackRow {
    pub n: i64,
    pub device: i64,
    pub algorithm: String,
    pub key_id: String,
    pub json: String,
    pub used: bool,
}
from_row!(FallbackRow { n, device, algorithm, key_id, json, used });

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// Take what nobody else is taking.
    Never,
    /// Wait for those who are taking keys.
    For,
}

macro_rules! claim_text {
    ($lock:literal) => {
        concat!(
            "with before as materialized (
                 select c.device, c.algorithm, c.key_id, c.json from claimed_keys c where c.request = $2
             ), wanted as materialized (
                 select w.n, d.id as device, w.algorithm
                 from json_to_recordset($1::json) as w (n bigint, user_id text, device_id text, algorithm text)
                 join users u on u.user_id = w.user_id
                 join devices d on d.account = u.id and d.device_id = w.device_id
                 order by d.id
             ), chosen as materialized (
                 select w.n, w.device, w.algorithm, k.key_id from wanted w cross join lateral (
                     select o.key_id from one_time_keys o where o.device = w.device and o.algorithm = w.algorithm
                     order by o.id limit 1 for update ",
            $lock,
            ") k
                 where not exists (select 1 from before b where b.device = w.device and b.algorithm = w.algorithm)
             ), gone as (
                 delete from one_time_keys o using chosen c
                 where o.device = c.device and o.algorithm = c.algorithm and o.key_id = c.key_id
                 returning c.n, o.device, o.algorithm, o.key_id, o.json
             ), kept as (
                 insert into claimed_keys (device, algorithm, key_id, json, request, created_ts)
                 select device, algorithm, key_id, json, $2, $3 from gone
                 on conflict (device, algorithm, key_id) do update
                     set json = excluded.json, request = excluded.request, created_ts = excluded.created_ts
             )
             select n, device, key_id, json from gone
             union all
             select w.n, b.device, b.key_id, b.json from before b
             join wanted w on w.device = b.device and w.algorithm = b.algorithm"
        )
    };
}

/// Gives out one key for each of `wanted` (JSON: `[{n, user_id, device_id, algorithm}]`) that has one.
pub(crate) async fn claim(
    tx: &mut Tx,
    wanted: &str,
    request: &str,
    now_ms: i64,
    waiting: Waiting,
) -> Result<Vec<ClaimedRow>, StoreError> {
    if matches!(tx, Tx::Pg(_)) {
        // another attempt of the same request may be under way still: what it gives out is to be seen by this one
        exec!(tx.ex(), "select pg_advisory_xact_lock(hashtextextended($1, 0))", request)?;
    }
    match (&tx, waiting) {
        (Tx::Sqlite(_), _) => claim_alone(tx, wanted, request, now_ms).await,
        (Tx::Pg(_), Waiting::Never) => {
            sql!(tx.ex(), fetch_all as ClaimedRow, claim_text!("skip locked"), wanted, request, now_ms)
        }
        (Tx::Pg(_), Waiting::For) => {
            sql!(tx.ex(), fetch_all as ClaimedRow, claim_text!(""), wanted, request, now_ms)
        }
    }
}

/// SQLite has one writer at a time: nobody else is taking keys.
async fn claim_alone(tx: &mut Tx, wanted: &str, request: &str, now_ms: i64) -> Result<Vec<ClaimedRow>, StoreError> {
    exec!(
        tx.ex(),
        "insert into claimed_keys (device, algorithm, key_id, json, request, created_ts)
         select k.device, k.algorithm, k.key_id, k.json, $2, $3
         from json_each($1) w join users u on u.user_id = w.value ->> '$.user_id'
         join devices d on d.account = u.id and d.device_id = w.value ->> '$.device_id'
         join one_time_keys k on k.id = (select min(o.id) from one_time_keys o
                                         where o.device = d.id and o.algorithm = w.value ->> '$.algorithm')
         where not exists (select 1 from claimed_keys c where c.request = $2 and c.device = d.id
                               and c.algorithm = w.value ->> '$.algorithm')
         on conflict (device, algorithm, key_id) do update
             set json = excluded.json, request = excluded.request, created_ts = excluded.created_ts",
        wanted,
        request,
        now_ms
    )?;
    exec!(
        tx.ex(),
        "delete from one_time_keys where id in (
             select k.id from claimed_keys c
             join one_time_keys k on k.device = c.device and k.algorithm = c.algorithm and k.key_id = c.key_id
             where c.request = $1)",
        request
    )?;
    sql!(
        tx.ex(),
        fetch_all as ClaimedRow,
        "select cast(w.value ->> '$.n' as bigint) as n, c.device, c.key_id, c.json
         from json_each($1) w join users u on u.user_id = w.value ->> '$.user_id'
         join devices d on d.account = u.id and d.device_id = w.value ->> '$.device_id'
         join claimed_keys c on c.request = $2 and c.device = d.id and c.algorithm = w.value ->> '$.algorithm'",
        wanted,
        request
    )
}

/// The fallback keys of `wanted`, which has the same shape as for [`claim`].
pub(crate) async fn load_fallback_keys(tx: &mut Tx, wanted: &str) -> Result<Vec<FallbackRow>, StoreError> {
    sql!(
        tx.ex(), fetch_all as FallbackRow,
        pg: "select w.n, f.device, f.algorithm, f.key_id, f.json, f.used
             from json_to_recordset($1::json) as w (n bigint, user_id text, device_id text, algorithm text)
             join users u on u.user_id = w.user_id join devices d on d.account = u.id and d.device_id = w.device_id
             join fallback_keys f on f.device = d.id and f.algorithm = w.algorithm order by d.id",
        lite: "select cast(w.value ->> '$.n' as bigint) as n, f.device, f.algorithm, f.key_id, f.json, f.used
               from json_each($1) w join users u on u.user_id = w.value ->> '$.user_id'
               join devices d on d.account = u.id and d.device_id = w.value ->> '$.device_id'
               join fallback_keys f on f.device = d.id and f.algorithm = w.value ->> '$.algorithm' order by d.id",
        wanted
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

/// Adds keys in their order; what the device has, or had until lately, is passed over.
pub(crate) async fn insert_one_time_keys(tx: &mut Tx, device: i64, keys: &str) -> Result<(), StoreError> {
    exec!(
        tx.ex(),
        pg: "insert into one_time_keys (device, algorithm, key_id, json)
             select $1, w.algorithm, w.key_id, w.json
             from json_to_recordset($2::json) as w (n bigint, algorithm text, key_id text, json text) order by w.n
             on conflict (device, algorithm, key_id) do nothing",
        lite: "insert into one_time_keys (device, algorithm, key_id, json)
               select $1, value ->> '$.algorithm', value ->> '$.key_id', value ->> '$.json'
               from json_each($2) where true order by key
               on conflict (device, algorithm, key_id) do nothing",
        device, keys
    )?;
    // A statement of its own: the insertion may have waited for a claim of the same key, and only now sees its mark.
    exec!(
        tx.ex(),
        pg: "delete from one_time_keys where device = $1 and (algorithm, key_id) in (
                 select c.algorithm, c.key_id
                 from json_to_recordset($2::json) as w (algorithm text, key_id text) cross join lateral (
                     select * from claimed_keys o
                     where o.device = $1 and o.algorithm = w.algorithm and o.key_id = w.key_id offset 0) c)",
        lite: "delete from one_time_keys where device = $1 and (algorithm, key_id) in (
                   select c.algorithm, c.key_id from json_each($2) w cross join claimed_keys c on c.device = $1
                       and c.algorithm = w.value ->> '$.algorithm' and c.key_id = w.value ->> '$.key_id')",
        device, keys
    )?;
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

/// Forgets at most `limit` keys that were given out before `cutoff_ms`.
pub(crate) async fn prune_claimed_keys(db: &Db, cutoff_ms: i64, limit: i64) -> Result<u64, StoreError> {
    exec!(
        db.write(),
        "delete from claimed_keys where (device, algorithm, key_id) in (
             select device, algorithm, key_id from claimed_keys where created_ts < $1 limit $2)",
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
