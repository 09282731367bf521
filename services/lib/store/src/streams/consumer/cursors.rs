//! Tables `stream_cursors` and `stream_workers`. All times are the database's, so that the clocks of processes do not matter.

use super::{Consumer, Start};
use crate::{Db, StoreError, Tx, exec, sql, streams};

/// Milliseconds now, in the database.
macro_rules! now {
    (pg) => {
        "(extract(epoch from clock_timestamp()) * 1000)::bigint"
    };
    (lite) => {
        "cast(unixepoch('subsec') * 1000 as integer)"
    };
}

/// A consumer of which no process was alive for so long no longer holds back [`passed`].
const FORGET_MS: i64 = 30 * 24 * 3_600_000;
/// Rows of processes that ended without a word are deleted after this.
const FORGET_WORKER_MS: i64 = 3_600_000;

/// A shard that this process may work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claimed {
    pub(super) shard: i32,
    pub(super) position: i64,
    pub(super) epoch: i64,
}

/// The rows of a consumer that is new. A consumer whose rows exist goes on where it was.
pub(super) async fn ensure(db: &Db, consumer: &Consumer) -> Result<(), StoreError> {
    let known =
        sql!(db.read(), fetch_one as (i64,), "select count(*) from stream_cursors where consumer = $1", consumer.name)?;
    if known.0 >= i64::from(consumer.shards) {
        return Ok(());
    }
    let position = match consumer.start {
        Start::Beginning => 0,
        Start::Head => streams::head(db, consumer.stream).await?,
    };
    let mut tx = db.begin().await?;
    for shard in 0..i32::from(consumer.shards) {
        exec!(
            tx.ex(),
            "insert into stream_cursors (consumer, shard, stream, position) values ($1, $2, $3, $4) on conflict do nothing",
            consumer.name,
            shard,
            consumer.stream.name(),
            position
        )?;
    }
    tx.commit().await
}

/// Tells that this process is alive, and how many are.
pub(super) async fn report_alive(tx: &mut Tx, consumer: &str, owner: &str, lease_ms: i64) -> Result<i64, StoreError> {
    exec!(
        tx.ex(),
        pg: concat!("insert into stream_workers (consumer, owner, alive_until) values ($1, $2, ", now!(pg), " + $3)
                     on conflict (consumer, owner) do update set alive_until = excluded.alive_until"),
        lite: concat!("insert into stream_workers (consumer, owner, alive_until) values ($1, $2, ", now!(lite), " + $3)
                       on conflict (consumer, owner) do update set alive_until = excluded.alive_until"),
        consumer, owner, lease_ms
    )?;
    let (alive,) = sql!(
        tx.ex(), fetch_one as (i64,),
        pg: concat!("select count(*) from stream_workers where consumer = $1 and alive_until > ", now!(pg)),
        lite: concat!("select count(*) from stream_workers where consumer = $1 and alive_until > ", now!(lite)),
        consumer
    )?;
    Ok(alive)
}

/// Renews the leases of this process and tells which shards it still holds.
pub(super) async fn renew(tx: &mut Tx, consumer: &str, owner: &str, lease_ms: i64) -> Result<Vec<i32>, StoreError> {
    let rows = sql!(
        tx.ex(), fetch_all as (i32,),
        pg: concat!("update stream_cursors set lease_until = ", now!(pg), " + $3 where consumer = $1 and owner = $2 returning shard"),
        lite: concat!("update stream_cursors set lease_until = ", now!(lite), " + $3 where consumer = $1 and owner = $2 returning shard"),
        consumer, owner, lease_ms
    )?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// Who claims, and how much.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim<'a> {
    pub(super) consumer: &'a str,
    pub(super) owner: &'a str,
    pub(super) lease_ms: i64,
    pub(super) most: i64,
    /// Whoever holds the leases is known to be gone.
    pub(super) by_force: bool,
}

/// Takes shards that nobody works on.
pub(super) async fn claim(tx: &mut Tx, claim: Claim<'_>) -> Result<Vec<Claimed>, StoreError> {
    let rows = sql!(
        tx.ex(), fetch_all as (i32, i64, i64),
        pg: concat!("update stream_cursors set owner = $2, epoch = epoch + 1, lease_until = ", now!(pg), " + $3
                     where consumer = $1 and shard in (
                         select shard from stream_cursors where consumer = $1 and owner <> $2 and ($5 or lease_until <= ", now!(pg), ")
                         order by shard limit $4 for update skip locked)
                     returning shard, position, epoch"),
        lite: concat!("update stream_cursors set owner = $2, epoch = epoch + 1, lease_until = ", now!(lite), " + $3
                       where consumer = $1 and shard in (
                           select shard from stream_cursors where consumer = $1 and owner <> $2 and ($5 or lease_until <= ", now!(lite), ")
                           order by shard limit $4)
                       returning shard, position, epoch"),
        claim.consumer, claim.owner, claim.lease_ms, claim.most, claim.by_force
    )?;
    Ok(rows.into_iter().map(|(shard, position, epoch)| Claimed { shard, position, epoch }).collect())
}

/// Moves the cursor. False: somebody else has the shard by now, or the cursor is there already.
pub(super) async fn advance(tx: &mut Tx, consumer: &str, held: Claimed, to: i64) -> Result<bool, StoreError> {
    let touched = exec!(
        tx.ex(),
        "update stream_cursors set position = $4 where consumer = $1 and shard = $2 and epoch = $3 and position < $4",
        consumer,
        held.shard,
        held.epoch,
        to
    )?;
    Ok(touched > 0)
}

/// Gives a shard back, so that another process takes it at once.
pub(super) async fn release(db: &Db, consumer: &str, held: Claimed) -> Result<(), StoreError> {
    exec!(
        db.write(),
        pg: concat!("update stream_cursors set owner = '', lease_until = ", now!(pg), " where consumer = $1 and shard = $2 and epoch = $3"),
        lite: concat!("update stream_cursors set owner = '', lease_until = ", now!(lite), " where consumer = $1 and shard = $2 and epoch = $3"),
        consumer, held.shard, held.epoch
    )?;
    Ok(())
}

/// This process takes no more part; so do those that have not been heard of for an hour.
pub(super) async fn leave(db: &Db, consumer: &str, owner: &str) -> Result<(), StoreError> {
    exec!(
        db.write(),
        pg: concat!("delete from stream_workers where consumer = $1 and (owner = $2 or alive_until < ", now!(pg), " - $3)"),
        lite: concat!("delete from stream_workers where consumer = $1 and (owner = $2 or alive_until < ", now!(lite), " - $3)"),
        consumer, owner, FORGET_WORKER_MS
    )?;
    Ok(())
}

/// The position up to which every durable consumer of a stream has passed: what is older may be pruned. None: it has no
/// consumer. One of which no process was alive for thirty days does not count.
pub async fn passed(db: &Db, stream: streams::Stream) -> Result<Option<i64>, StoreError> {
    let (position,) = sql!(
        db.read(), fetch_one as (Option<i64>,),
        pg: concat!("select min(position) from stream_cursors where stream = $1
                     and (lease_until = 0 or lease_until > ", now!(pg), " - $2)"),
        lite: concat!("select min(position) from stream_cursors where stream = $1
                       and (lease_until = 0 or lease_until > ", now!(lite), " - $2)"),
        stream.name(), FORGET_MS
    )?;
    Ok(position)
}
