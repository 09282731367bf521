//! Room rows.

use matrixon_store::{Db, StoreError, from_row, sql};

use crate::{json::json_list, state, visibility};

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

/// Rooms looked at in one statement.
const PAGE: i64 = 200;

/// Is the user in a room that is open to the public: that anybody may join, or whose history the world reads?
pub async fn is_in_public_room(db: &Db, user_id: &str) -> Result<bool, StoreError> {
    let mut after = 0;
    loop {
        let rows = sql!(
            db.read(),
            fetch_all as (i64, Option<String>, Option<String>),
            "select m.room,
                    (select e.json from current_state c join events e on e.position = c.event
                     where c.room = m.room and c.event_type = 'm.room.join_rules' and c.state_key = ''),
                    (select e.json from current_state c join events e on e.position = c.event
                     where c.room = m.room and c.event_type = 'm.room.history_visibility' and c.state_key = '')
             from memberships m where m.user_id = $1 and m.membership = 'join' and m.room > $2 order by m.room limit $3",
            user_id,
            after,
            PAGE
        )?;
        if rows.iter().any(|(_, rules, history)| visibility::is_public(rules.as_deref(), history.as_deref())) {
            return Ok(true);
        }
        match rows.last() {
            Some((room, ..)) if rows.len() as i64 == PAGE => after = *room,
            _ => return Ok(false),
        }
    }
}

/// Is the room open to the public? False for a room that is unknown.
pub async fn is_public(db: &Db, room: i64) -> Result<bool, StoreError> {
    let rules = state::find_current(db, room, "m.room.join_rules", "").await?;
    let history = state::find_current(db, room, "m.room.history_visibility", "").await?;
    let json = |event: Option<crate::EventRow>| event.map(|event| event.json);
    Ok(visibility::is_public(json(rules).as_deref(), json(history).as_deref()))
}
