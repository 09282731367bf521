//! Bulk insert of events: the last statement before COMMIT.

use matrixon_store::{Ex, StoreError, Tx, exec, sqlx, streams::Stream, timed};

use super::append::{EventWrite, Placed};

/// An event on its way into the table.
pub(crate) struct Row<'a> {
    pub(crate) room: i64,
    pub(crate) event: &'a EventWrite,
    /// (device id, transaction id)
    pub(crate) txn: Option<(&'a str, &'a str)>,
    pub(crate) placed: Placed,
}

macro_rules! columns {
    () => {
        "position, room, event_id, event_type, state_key, sender, depth, origin_server_ts, json, pdu, state_before, \
         state_after, replaces, membership, history_visibility, device_id, txn_id"
    };
}

macro_rules! unnest {
    () => {
        "unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::text[], \
         $10::text[], $11::bigint[], $12::bigint[], $13::bigint[], $14::text[], $15::smallint[], $16::text[], \
         $17::text[]) with ordinality as i (room, event_id, event_type, state_key, sender, depth, origin_server_ts, \
         json, pdu, state_before, state_after, replaces, membership, history_visibility, device_id, txn_id, n)"
    };
}

macro_rules! selected {
    () => {
        "i.room, i.event_id, i.event_type, i.state_key, i.sender, i.depth, i.origin_server_ts, i.json, i.pdu, \
         i.state_before, i.state_after, i.replaces, i.membership, i.history_visibility, i.device_id, i.txn_id"
    };
}

/// Takes positions and inserts in one statement: the stream is locked for one round trip and the commit.
const ADVANCE_AND_INSERT: &str = concat!(
    "with p as (update stream_positions set position = position + $1 where stream = 'events' returning position),
     inserted as (insert into events (",
    columns!(),
    ")
         select p.position - $1 + i.n, ",
    selected!(),
    " from p, ",
    unnest!(),
    ")
     select position - $1 + 1 from p"
);

/// `$1` is the first position.
const INSERT: &str =
    concat!("insert into events (", columns!(), ") select $1 + i.n - 1, ", selected!(), " from ", unnest!());

macro_rules! bind_rows {
    ($query:expr, $rows:expr) => {{
        let rows: &[Row<'_>] = $rows;
        $query
            .bind(rows.iter().map(|row| row.room).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.event.event_id.as_str()).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.event.event_type.as_str()).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.event.state_key.as_deref()).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.event.sender.as_str()).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.event.depth).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.event.origin_server_ts).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.event.json.as_str()).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.event.hidden_json.as_str()).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.placed.state_before).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.placed.state_after).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.placed.replaced.as_ref().map(|old| old.position)).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.event.membership.as_deref()).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.event.history_visibility).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.txn.map(|txn| txn.0)).collect::<Vec<_>>())
            .bind(rows.iter().map(|row| row.txn.map(|txn| txn.1)).collect::<Vec<_>>())
    }};
}

/// Inserts events that need no position beforehand, and returns the first position.
pub(crate) async fn advance_and_insert(tx: &mut Tx, rows: &mut [Row<'_>]) -> Result<i64, StoreError> {
    if let Ex::Pg(connection) = tx.ex() {
        let query = sqlx::query_as::<_, (i64,)>(ADVANCE_AND_INSERT).bind(rows.len() as i64);
        let (first,) = timed(ADVANCE_AND_INSERT, bind_rows!(query, rows).fetch_one(connection)).await?;
        return Ok(first);
    }
    let first = tx.advance(Stream::EVENTS, rows.len()).await?;
    for (row, position) in rows.iter_mut().zip(first..) {
        row.placed.position = position;
    }
    insert(tx, rows).await?;
    Ok(first)
}

/// Inserts events whose positions are already taken; they are consecutive.
pub(crate) async fn insert(tx: &mut Tx, rows: &[Row<'_>]) -> Result<(), StoreError> {
    let Some(first) = rows.first().map(|row| row.placed.position) else { return Ok(()) };
    if let Ex::Pg(connection) = tx.ex() {
        timed(INSERT, bind_rows!(sqlx::query(INSERT).bind(first), rows).execute(connection)).await?;
        return Ok(());
    }
    for row in rows {
        let (event, placed) = (row.event, &row.placed);
        exec!(
            tx.ex(),
            concat!(
                "insert into events (",
                columns!(),
                ") values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)"
            ),
            placed.position,
            row.room,
            event.event_id.as_str(),
            event.event_type.as_str(),
            event.state_key.as_deref(),
            event.sender.as_str(),
            event.depth,
            event.origin_server_ts,
            event.json.as_str(),
            event.hidden_json.as_str(),
            placed.state_before,
            placed.state_after,
            placed.replaced.as_ref().map(|old| old.position),
            event.membership.as_deref(),
            event.history_visibility,
            row.txn.map(|txn| txn.0),
            row.txn.map(|txn| txn.1)
        )?;
    }
    Ok(())
}
