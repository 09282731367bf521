//! Writes to memberships that are not events.

use matrixon_store::{Db, StoreError, exec, sql};

/// False: the user is still in the room, or never had to do with it.
pub(crate) async fn forget(db: &Db, room: i64, user_id: &str) -> Result<bool, StoreError> {
    let touched = exec!(
        db.write(),
        "update memberships set forgotten = true where user_id = $1 and room = $2 and membership in ('leave', 'ban')",
        user_id,
        room
    )?;
    Ok(touched > 0)
}

/// Of these rooms (by id), is the user joined to one?
pub(crate) async fn is_joined_to_any(db: &Db, user_id: &str, room_ids: &[String]) -> Result<bool, StoreError> {
    let row = sql!(
        db.read(), fetch_optional as (i64,),
        pg: "select m.room from memberships m join rooms r on r.id = m.room
             where m.user_id = $1 and m.membership = 'join'
               and r.room_id in (select json_array_elements_text($2::json)) limit 1",
        lite: "select m.room from memberships m join rooms r on r.id = m.room
               where m.user_id = $1 and m.membership = 'join' and r.room_id in (select value from json_each($2)) limit 1",
        user_id, serde_json::json!(room_ids).to_string()
    )?;
    Ok(row.is_some())
}

/// Positions of the current membership events of some users.
pub(crate) async fn positions(db: &Db, room: i64, user_ids: &[&str]) -> Result<Vec<i64>, StoreError> {
    let rows = sql!(
        db.read(), fetch_all as (i64,),
        pg: "select event from current_state where room = $1 and event_type = 'm.room.member'
             and state_key in (select json_array_elements_text($2::json))",
        lite: "select event from current_state where room = $1 and event_type = 'm.room.member'
               and state_key in (select value from json_each($2))",
        room, serde_json::json!(user_ids).to_string()
    )?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}
