//! What is known of rooms beyond their members: which are in the room directory, and who invited somebody to them.

use std::collections::{HashMap, HashSet};

use matrixon_store::{Db, StoreError, sql};

use super::json_list;

/// Those of the rooms that anybody may find.
pub(crate) async fn list_published(db: &Db, room_ids: &[String]) -> Result<HashSet<String>, StoreError> {
    if room_ids.is_empty() {
        return Ok(HashSet::new());
    }
    let list = json_list(room_ids);
    let rows = sql!(
        db.read(), fetch_all as (String,),
        pg: "select room_id from rooms where room_id in (select json_array_elements_text($1::json)) and published",
        lite: "select room_id from rooms where room_id in (select value from json_each($1)) and published",
        list.as_str()
    )?;
    Ok(rows.into_iter().map(|(room_id,)| room_id).collect())
}

/// The event by which a user is what they are in each of the rooms, in its client form.
pub(crate) async fn load_own_members(
    db: &Db,
    user_id: &str,
    room_ids: &[String],
) -> Result<HashMap<String, String>, StoreError> {
    if room_ids.is_empty() {
        return Ok(HashMap::new());
    }
    let list = json_list(room_ids);
    let rows = sql!(
        db.read(), fetch_all as (String, String),
        pg: "select r.room_id, e.json from rooms r join memberships m on m.room = r.id join events e on e.position = m.event
             where m.user_id = $1 and r.room_id in (select json_array_elements_text($2::json))",
        lite: "select r.room_id, e.json from rooms r join memberships m on m.room = r.id join events e on e.position = m.event
               where m.user_id = $1 and r.room_id in (select value from json_each($2))",
        user_id, list.as_str()
    )?;
    Ok(rows.into_iter().collect())
}
