//! Requests without a transaction id, and what they did: table `room_requests`, and `rooms.idempotency_key`.

use matrixon_store::{Db, StoreError, Tx, exec, sql};
use serde_json::json;

use super::append::{Append, Dedupe, Refusal, Target};

/// Requests are retried by gateways within seconds; this leaves room for a long outage of the database.
const KEEP_MS: i64 = 24 * 3_600_000;

/// The event that a request with this key sent, if it was committed.
pub(crate) async fn find(db: &Db, key: &str) -> Result<Option<String>, StoreError> {
    let row = sql!(
        db.read(),
        fetch_optional as (String,),
        "select event_id from room_requests where idempotency_key = $1",
        key
    )?;
    Ok(row.map(|row| row.0))
}

/// The room that a createRoom request with this key made, if it was committed.
pub(crate) async fn find_room(db: &Db, key: &str) -> Result<Option<String>, StoreError> {
    let row =
        sql!(db.read(), fetch_optional as (String,), "select room_id from rooms where idempotency_key = $1", key)?;
    Ok(row.map(|row| row.0))
}

/// Refuses items whose request was committed before. A key that is twice in the batch drops out at its second place.
pub(crate) async fn refuse_known(
    tx: &mut Tx,
    items: &[Append],
    verdicts: &mut [Option<Refusal>],
) -> Result<(), StoreError> {
    let mut keys: Vec<(usize, &str)> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let Dedupe::Key(key) = &item.dedupe else { continue };
        if keys.iter().any(|(_, known)| known == key) {
            verdicts[index] = Some(Refusal::Conflict);
        } else {
            keys.push((index, key));
        }
    }
    if keys.is_empty() {
        return Ok(());
    }
    let list = json!(keys.iter().map(|(_, key)| key).collect::<Vec<_>>()).to_string();
    let known = sql!(
        tx.ex(), fetch_all as (String, String),
        pg: "select idempotency_key, event_id from room_requests
             where idempotency_key in (select json_array_elements_text($1::json))
             union all
             select idempotency_key, room_id from rooms
             where idempotency_key in (select json_array_elements_text($1::json))",
        lite: "select idempotency_key, event_id from room_requests where idempotency_key in (select value from json_each($1))
               union all
               select idempotency_key, room_id from rooms where idempotency_key in (select value from json_each($1))",
        list
    )?;
    for (known_key, result) in known {
        if let Some((index, _)) = keys.iter().find(|(_, key)| *key == known_key) {
            verdicts[*index] = Some(Refusal::Duplicate(result));
        }
    }
    Ok(())
}

/// Records what the accepted items' requests did.
pub(crate) async fn record(tx: &mut Tx, accepted: &[&Append]) -> Result<(), StoreError> {
    let rows: Vec<(&str, &str, i64)> = accepted
        .iter()
        .filter(|item| matches!(item.target, Target::Room { .. }))
        .filter_map(|item| match (&item.dedupe, item.events.last()) {
            (Dedupe::Key(key), Some(event)) => Some((key.as_str(), event.event_id.as_str(), item.now_ms)),
            _ => None,
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    exec!(
        tx.ex(),
        pg: "insert into room_requests (idempotency_key, event_id, created_ts)
             select r->>0, r->>1, (r->>2)::bigint from json_array_elements($1::json) as t (r)",
        lite: "insert into room_requests (idempotency_key, event_id, created_ts)
               select json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]') from json_each($1)",
        json!(rows).to_string()
    )?;
    Ok(())
}

/// Forgets requests that nobody will repeat any more.
pub(crate) async fn delete_old(db: &Db, now_ms: i64) -> Result<u64, StoreError> {
    exec!(db.write(), "delete from room_requests where created_ts < $1", now_ms - KEEP_MS)
}
