//! Which rooms the room directory lists.

use std::collections::HashSet;

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
