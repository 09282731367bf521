//! What schemas before 42 had instead of queues: tables `one_time_keys` and `key_claims`. Replicas of an older version still use
//! them while a cluster is upgraded. This file goes when a migration drops them.

use matrixon_store::{Db, StoreError, Tx, exec, sql};

use super::one_time_keys::BEGIN_CLAIM;

/// Devices whose keys are moved in one transaction.
const DEVICES: i64 = 200;

/// Moves one-time keys of some devices to the end of their queues; how many.
pub(crate) async fn adopt_keys(db: &Db) -> Result<u64, StoreError> {
    // nobody of an older version gives them out meanwhile, or adds to them
    let mut tx = db.begin_by(BEGIN_CLAIM[0]).await?;
    let (first,) = sql!(tx.ex(), fetch_one as (Option<i64>,), "select min(device) from one_time_keys")?;
    let Some(first) = first else { return Ok(0) };
    if matches!(tx, Tx::Pg(_)) {
        exec!(tx.ex(), "lock table one_time_keys in exclusive mode")?;
    }
    let end = first + DEVICES;
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
    Ok(moved)
}

/// Deletes all of them; how many.
pub(crate) async fn delete_keys(db: &Db) -> Result<u64, StoreError> {
    exec!(db.write(), "delete from one_time_keys")
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
