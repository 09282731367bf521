//! Table `receipts` and its stream.

use std::{collections::HashMap, sync::Arc};

use matrixon_store::{Db, StoreError, Tx, exec, sql, streams::Stream};

use super::json_list;
use crate::live::items::Receipt;

/// A receipt on its way into the table.
#[derive(Clone, Debug)]
pub(crate) struct NewReceipt {
    pub(crate) room: i64,
    pub(crate) room_id: Arc<str>,
    pub(crate) receipt_type: String,
    pub(crate) user_id: String,
    pub(crate) thread_id: String,
    pub(crate) event_id: String,
    /// Position of the event.
    pub(crate) event: i64,
    pub(crate) ts_ms: i64,
}

type Row = (i64, String, String, String, String, String, i64);

fn receipt((position, room_id, receipt_type, user_id, thread_id, event_id, ts_ms): Row) -> Receipt {
    Receipt {
        position,
        room_id: room_id.into(),
        receipt_type: receipt_type.into(),
        user_id: user_id.into(),
        thread_id: thread_id.into(),
        event_id: event_id.into(),
        ts_ms,
    }
}

/// Receipts of rooms in (after, head], and that head.
pub(crate) async fn list_in_rooms(db: &Db, rooms: &[i64], after: i64) -> Result<(i64, Vec<Receipt>), StoreError> {
    type Joined =
        (i64, Option<i64>, Option<String>, Option<String>, Option<String>, Option<String>, Option<String>, Option<i64>);
    let rows = sql!(
        db.read(), fetch_all as Joined,
        pg: "select s.position, t.position, r.room_id, t.receipt_type, t.user_id, t.thread_id, t.event_id, t.ts_ms
             from stream_positions s left join
             (receipts t join (select value::bigint as room from json_array_elements_text($1::json)) l on l.room = t.room
              join rooms r on r.id = t.room) on t.position > $2
             where s.stream = 'receipts' order by t.position",
        lite: "select s.position, t.position, r.room_id, t.receipt_type, t.user_id, t.thread_id, t.event_id, t.ts_ms
               from stream_positions s left join
               (receipts t join json_each($1) l on l.value = t.room join rooms r on r.id = t.room) on t.position > $2
               where s.stream = 'receipts' order by t.position",
        json_list(rooms), after
    )?;
    let head = rows.first().map_or(0, |row| row.0);
    let receipts = rows.into_iter().filter_map(|(_, position, room_id, kind, user_id, thread_id, event_id, ts_ms)| {
        Some(receipt((position?, room_id?, kind?, user_id?, thread_id?, event_id?, ts_ms?)))
    });
    Ok((head, receipts.collect()))
}

/// The whole stream in (after, upto], ascending. Positions whose row was replaced since are absent.
pub(crate) async fn list_range(db: &Db, after: i64, upto: i64) -> Result<Vec<Receipt>, StoreError> {
    let rows = sql!(
        db.read(),
        fetch_all as Row,
        "select t.position, r.room_id, t.receipt_type, t.user_id, t.thread_id, t.event_id, t.ts_ms
         from receipts t join rooms r on r.id = t.room
         where t.position > $1 and t.position <= $2 order by t.position",
        after,
        upto
    )?;
    Ok(rows.into_iter().map(receipt).collect())
}

/// Writes receipts and returns for each its position, or None where a later event was already read: receipts never move back.
pub(crate) async fn append(tx: &mut Tx, receipts: &[NewReceipt]) -> Result<Vec<Option<i64>>, StoreError> {
    // taking no position keeps the lock on the counter, which serialises the writers all the same
    let last = tx.advance(Stream::RECEIPTS, 0).await? - 1;
    let mut positions = Vec::with_capacity(receipts.len());
    let mut next = last + 1;
    for receipt in receipts {
        let moved = exec!(
            tx.ex(),
            "insert into receipts (position, room, receipt_type, user_id, thread_id, event_id, event, ts_ms)
             values ($1, $2, $3, $4, $5, $6, $7, $8)
             on conflict (room, receipt_type, user_id, thread_id)
             do update set position = excluded.position, event_id = excluded.event_id, event = excluded.event,
                           ts_ms = excluded.ts_ms
             where receipts.event < excluded.event",
            next,
            receipt.room,
            receipt.receipt_type.as_str(),
            receipt.user_id.as_str(),
            receipt.thread_id.as_str(),
            receipt.event_id.as_str(),
            receipt.event,
            receipt.ts_ms
        )?;
        positions.push((moved > 0).then_some(next));
        next += i64::from(moved > 0);
    }
    tx.advance(Stream::RECEIPTS, (next - last - 1) as usize).await?;
    Ok(positions)
}

/// Position of an event in a room.
pub(crate) async fn find_event(db: &Db, room: i64, event_id: &str) -> Result<Option<i64>, StoreError> {
    let row = sql!(
        db.read(),
        fetch_optional as (i64,),
        "select position from events where event_id = $1 and room = $2 and status = 0",
        event_id,
        room
    )?;
    Ok(row.map(|row| row.0))
}

/// Groups receipts by the room they are in.
pub(crate) fn by_room(receipts: Vec<Receipt>) -> HashMap<Arc<str>, Vec<Arc<Receipt>>> {
    let mut rooms: HashMap<Arc<str>, Vec<Arc<Receipt>>> = HashMap::new();
    for receipt in receipts {
        rooms.entry(receipt.room_id.clone()).or_default().push(Arc::new(receipt));
    }
    rooms
}
