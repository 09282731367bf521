//! Table `to_device` and its stream: a message stays until its device has acknowledged it.

use std::collections::HashSet;

use matrixon_store::{Db, StoreError, Tx, exec, sql, streams::Stream};
use serde::Serialize;

use crate::live::items::ToDevicePlace;

/// A message on its way into one inbox.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct NewMessage<'a> {
    /// The inbox: an interned device number.
    pub(crate) device: i64,
    pub(crate) position: i64,
    pub(crate) sender: &'a str,
    pub(crate) event_type: &'a str,
    pub(crate) content: &'a str,
}

/// Whom a message is for.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Target<'a> {
    /// Index in the list, to tell the answers apart.
    pub(crate) n: i64,
    pub(crate) user_id: &'a str,
    /// `*`: each of the user's devices.
    pub(crate) device_id: &'a str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) position: i64,
    pub(crate) sender: String,
    pub(crate) event_type: String,
    pub(crate) content: String,
}

/// The oldest messages of an inbox.
#[derive(Clone, Debug, Default)]
pub(crate) struct Batch {
    /// Position of the stream as of which this is so.
    pub(crate) head: i64,
    pub(crate) messages: Vec<Message>,
    /// The inbox holds more than these.
    pub(crate) more: bool,
}

/// Notes which of these transactions are new, and returns them.
pub(crate) async fn begin_transactions(tx: &mut Tx, keys: &[&str], now_ms: i64) -> Result<HashSet<String>, StoreError> {
    let mut keys: Vec<&str> = keys.to_vec();
    // in one order, so that two replicas with the same ones do not wait for each other
    keys.sort_unstable();
    keys.dedup();
    let rows = sql!(
        tx.ex(), fetch_all as (String,),
        pg: "insert into to_device_transactions (key, created_ts)
             select value, $2 from json_array_elements_text($1::json) on conflict do nothing returning key",
        lite: "insert into to_device_transactions (key, created_ts)
               select value, $2 from json_each($1) where true on conflict do nothing returning key",
        super::json_list(keys), now_ms
    )?;
    Ok(rows.into_iter().map(|(key,)| key).collect())
}

/// The devices that targets name, as (index of the target, device). They cannot be deleted before the transaction ends.
pub(crate) async fn find_targets(tx: &mut Tx, targets: &[Target<'_>]) -> Result<Vec<(i64, i64)>, StoreError> {
    sql!(
        tx.ex(), fetch_all as (i64, i64),
        pg: "select t.n, d.id from json_to_recordset($1::json) as t (n bigint, user_id text, device_id text)
             join users u on u.user_id = t.user_id
             join devices d on d.account = u.id and (t.device_id = '*' or d.device_id = t.device_id)
             order by d.id for key share of d",
        lite: "select json_extract(t.value, '$.n'), d.id from json_each($1) t
               join users u on u.user_id = json_extract(t.value, '$.user_id')
               join devices d on d.account = u.id and json_extract(t.value, '$.device_id') in ('*', d.device_id)",
        super::json_list(targets)
    )
}

/// The last statement before COMMIT. Positions are those that [`advance`] gave.
pub(crate) async fn insert(tx: &mut Tx, messages: &[NewMessage<'_>]) -> Result<(), StoreError> {
    exec!(
        tx.ex(),
        pg: "insert into to_device (device, position, sender, event_type, content)
             select m.device, m.position, m.sender, m.event_type, m.content from json_to_recordset($1::json)
             as m (device bigint, position bigint, sender text, event_type text, content text)",
        lite: "insert into to_device (device, position, sender, event_type, content)
               select json_extract(value, '$.device'), json_extract(value, '$.position'), json_extract(value, '$.sender'),
                      json_extract(value, '$.event_type'), json_extract(value, '$.content') from json_each($1)",
        super::json_list(messages)
    )?;
    Ok(())
}

/// Takes positions for so many messages and returns the first.
pub(crate) async fn advance(tx: &mut Tx, messages: usize) -> Result<i64, StoreError> {
    tx.advance(Stream::TO_DEVICE, messages).await
}

/// The oldest messages of an inbox after a position: at most `limit`, and not many more bytes than `max_bytes`.
pub(crate) async fn list(
    db: &Db,
    device: i64,
    after: i64,
    (limit, max_bytes): (i64, i64),
) -> Result<Batch, StoreError> {
    type Joined = (i64, Option<i64>, Option<String>, Option<String>, Option<String>, Option<i64>);
    let rows = sql!(
        db.read(),
        fetch_all as Joined,
        "select s.position, t.position, t.sender, t.event_type, t.content, t.found
         from stream_positions s left join (
             select m.*, count(*) over () as found, sum(length(m.content)) over (order by m.position) as bytes from (
                 select position, sender, event_type, content from to_device
                 where device = $1 and position > $2 order by position limit $3 + 1) m
         ) t on t.bytes - length(t.content) < $4
         where s.stream = 'to_device' order by t.position",
        device,
        after,
        limit,
        max_bytes
    )?;
    let head = rows.first().map_or(0, |row| row.0);
    let found = rows.first().and_then(|row| row.5).unwrap_or(0);
    let messages = rows.into_iter().filter_map(|(_, position, sender, event_type, content, _)| {
        Some(Message { position: position?, sender: sender?, event_type: event_type?, content: content? })
    });
    let messages: Vec<Message> = messages.take(limit as usize).collect();
    Ok(Batch { head, more: found > messages.len() as i64, messages })
}

/// First and newest message of an inbox.
pub(crate) async fn bounds(db: &Db, device: i64) -> Result<Option<(i64, i64)>, StoreError> {
    let (first, newest) = sql!(
        db.read(),
        fetch_one as (Option<i64>, Option<i64>),
        "select (select min(position) from to_device where device = $1),
                (select max(position) from to_device where device = $1)",
        device
    )?;
    Ok(first.zip(newest))
}

/// The stream in (after, upto], ascending. Positions whose message was acknowledged since are absent.
pub(crate) async fn list_range(db: &Db, after: i64, upto: i64) -> Result<Vec<ToDevicePlace>, StoreError> {
    let rows = sql!(
        db.read(),
        fetch_all as (i64, i64),
        "select position, device from to_device where position > $1 and position <= $2 order by position",
        after,
        upto
    )?;
    Ok(rows.into_iter().map(|(position, device)| ToDevicePlace { position, device }).collect())
}

/// Deletes what devices have acknowledged, given as (device, up to which position).
pub(crate) async fn delete_acknowledged(tx: &mut Tx, acknowledged: &[(i64, i64)]) -> Result<(), StoreError> {
    exec!(
        tx.ex(),
        pg: "delete from to_device t
             using (select (value->>0)::bigint as device, (value->>1)::bigint as upto from json_array_elements($1::json)) a
             where t.device = a.device and t.position <= a.upto",
        lite: "delete from to_device where (device, position) in (
                   select t.device, t.position from json_each($1) a
                   join to_device t on t.device = json_extract(a.value, '$[0]')
                       and t.position <= json_extract(a.value, '$[1]'))",
        super::json_list(acknowledged)
    )?;
    Ok(())
}

/// Deletes all but the newest `keep` messages of an inbox, and tells how many those were.
pub(crate) async fn delete_oldest(db: &Db, device: i64, keep: i64) -> Result<u64, StoreError> {
    exec!(
        db.write(),
        "delete from to_device where device = $1 and position <= (
             select position from to_device where device = $1 order by position desc limit 1 offset $2)",
        device,
        keep
    )
}

/// Deletes at most `limit` transactions of before `cutoff_ms`, and tells how many.
pub(crate) async fn prune_transactions(db: &Db, cutoff_ms: i64, limit: i64) -> Result<u64, StoreError> {
    exec!(
        db.write(),
        "delete from to_device_transactions where key in (
             select key from to_device_transactions where created_ts < $1 order by created_ts limit $2)",
        cutoff_ms,
        limit
    )
}
