//! What schemas before 42 had instead of queues: tables `one_time_keys` and `key_claims`. Replicas of an older version still use
//! them while a cluster is upgraded. This file goes when a migration drops them.

use matrixon_store::{Db, StoreError, Tx, exec, sql};

use super::claims::take_turn;

/// Keys that one transaction handles, and those of one more device.
const KEYS: i64 = 5_000;

/// The first devices from `from` on that have keys: `first..end`.
async fn find_devices(tx: &mut Tx, from: i64) -> Result<Option<(i64, i64)>, StoreError> {
    let (first, end) = sql!(
        tx.ex(),
        fetch_one as (Option<i64>, Option<i64>),
        "select (select min(device) from one_time_keys where device >= $1),
                (select device from one_time_keys where device >= $1 order by device, algorithm, id limit 1 offset $2)",
        from,
        KEYS
    )?;
    Ok(first.map(|first| (first, end.unwrap_or(i64::MAX).max(first + 1))))
}

/// Moves one-time keys of some devices from `from` on to the end of their queues: how many, and where to go on.
pub(crate) async fn adopt_keys(db: &Db, from: i64) -> Result<Option<(u64, i64)>, StoreError> {
    let mut tx = db.begin().await?;
    let Some((first, end)) = find_devices(&mut tx, from).await? else { return Ok(None) };
    // nobody of an older version gives them out meanwhile, or adds to them
    take_turn(&mut tx).await?;
    if matches!(tx, Tx::Pg(_)) {
        exec!(tx.ex(), "set local lock_timeout = '2s'")?;
        exec!(tx.ex(), "lock table one_time_keys in exclusive mode")?;
    }
    // what waits already is not to be given twice
    let known = exec!(
        tx.ex(),
        "delete from one_time_keys where device >= $1 and device < $2 and exists (
             select 1 from key_queues q join queued_keys k on k.queue = q.id and k.number >= q.next
             where q.device = one_time_keys.device and q.algorithm = one_time_keys.algorithm
               and k.key_id = one_time_keys.key_id)",
        first,
        end
    )?;
    exec!(
        tx.ex(),
        "insert into key_queues (device, algorithm, ends)
         select device, algorithm, count(*) from one_time_keys where device >= $1 and device < $2
         group by device, algorithm order by device, algorithm
         on conflict (device, algorithm) do update set ends = key_queues.ends + excluded.ends",
        first,
        end
    )?;
    exec!(
        tx.ex(),
        "insert into queued_keys (queue, number, key_id, json)
         select q.id, q.ends - count(*) over of_queue + row_number() over (partition by q.id order by o.id) - 1,
                o.key_id, o.json
         from one_time_keys o join key_queues q on q.device = o.device and q.algorithm = o.algorithm
         where o.device >= $1 and o.device < $2
         window of_queue as (partition by q.id)",
        first,
        end
    )?;
    let moved = exec!(tx.ex(), "delete from one_time_keys where device >= $1 and device < $2", first, end)?;
    tx.commit().await?;
    Ok(Some((known + moved, end)))
}

/// Deletes keys of some devices from `from` on: how many, and where to go on.
pub(crate) async fn delete_keys(db: &Db, from: i64) -> Result<Option<(u64, i64)>, StoreError> {
    let mut tx = db.begin().await?;
    let Some((first, end)) = find_devices(&mut tx, from).await? else { return Ok(None) };
    let deleted = exec!(tx.ex(), "delete from one_time_keys where device >= $1 and device < $2", first, end)?;
    tx.commit().await?;
    Ok(Some((deleted, end)))
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
