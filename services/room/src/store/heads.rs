//! What the heads of rooms are loaded from.

use matrixon_store::{Db, StoreError, Tx, from_row, sql};
use ruma::events::StateEventType;
use serde_json::json;

/// A row of `rooms`, as far as appends need it.
#[derive(Clone, Debug)]
pub(crate) struct HeadRow {
    pub(crate) id: i64,
    pub(crate) room_version: String,
    pub(crate) version: i64,
    pub(crate) forward_extremities: String,
    pub(crate) depth: i64,
    pub(crate) state_snapshot: i64,
    pub(crate) state_redactions: i64,
}

from_row!(HeadRow { id, room_version, version, forward_extremities, depth, state_snapshot, state_redactions });

pub(crate) async fn find_head(db: &Db, room_id: &str) -> Result<Option<HeadRow>, StoreError> {
    sql!(
        db.read(),
        fetch_optional as HeadRow,
        "select id, room_version, version, forward_extremities, depth, state_snapshot, state_redactions
         from rooms where room_id = $1",
        room_id
    )
}

/// (event type, state key, JSON) of some of the current state.
pub(crate) async fn load_state(
    db: &Db,
    room: i64,
    keys: &[(StateEventType, String)],
) -> Result<Vec<(String, String, String)>, StoreError> {
    let keys: Vec<(String, &str)> = keys.iter().map(|(kind, key)| (kind.to_string(), key.as_str())).collect();
    sql!(
        db.read(), fetch_all as (String, String, String),
        pg: "select c.event_type, c.state_key, e.json
             from json_array_elements($2::json) as t (k)
             join current_state c on c.room = $1 and c.event_type = k->>0 and c.state_key = k->>1
             join events e on e.position = c.event",
        lite: "select c.event_type, c.state_key, e.json
               from json_each($2) t
               join current_state c on c.room = $1 and c.event_type = json_extract(t.value, '$[0]')
                   and c.state_key = json_extract(t.value, '$[1]')
               join events e on e.position = c.event",
        room, json!(keys).to_string()
    )
}

/// Nobody else appends to the room until the transaction ends. SQLite's transactions exclude each other anyway.
pub(crate) async fn lock(tx: &mut Tx, room_id: &str) -> Result<(), StoreError> {
    sql!(
        tx.ex(), fetch_optional as (i64,),
        pg: "select id from rooms where room_id = $1 for update",
        lite: "select id from rooms where room_id = $1",
        room_id
    )
    .map(|_| ())
}
