//! Room rows.

use matrixon_store::{Db, StoreError, from_row, sql};

#[derive(Clone, Debug)]
pub struct RoomRow {
    /// The room's interned number.
    pub id: i64,
    pub room_id: String,
    pub room_version: String,
    pub version: i64,
    /// JSON array of event ids.
    pub forward_extremities: String,
    pub depth: i64,
    pub state_snapshot: i64,
}

from_row!(RoomRow { id, room_id, room_version, version, forward_extremities, depth, state_snapshot });

pub async fn find_room(db: &Db, room_id: &str) -> Result<Option<RoomRow>, StoreError> {
    sql!(
        db.read(),
        fetch_optional as RoomRow,
        "select id, room_id, room_version, version, forward_extremities, depth, state_snapshot from rooms where room_id = $1",
        room_id
    )
}

pub async fn load_rooms(db: &Db, rooms: &[i64]) -> Result<Vec<RoomRow>, StoreError> {
    sql!(
        db.read(), fetch_all as RoomRow,
        pg: "select id, room_id, room_version, version, forward_extremities, depth, state_snapshot from rooms
             where id in (select value::bigint from json_array_elements_text($1::json))",
        lite: "select id, room_id, room_version, version, forward_extremities, depth, state_snapshot from rooms
               where id in (select value from json_each($1))",
        json_list(rooms)
    )
}

/// Lists are bound as JSON text: one query text shape and one prepared statement for every length.
pub(crate) fn json_list<T: serde::Serialize>(list: &[T]) -> String {
    serde_json::to_string(list).expect("numbers and strings are JSON")
}
