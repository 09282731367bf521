//! How accounts stand: who is a guest, whose messages are to be forgotten.

use std::collections::HashSet;

use matrixon_store::{Db, StoreError, sql};

/// How many user ids one statement asks about.
const BATCH: usize = 1_000;

/// The guests among these users.
pub async fn find_guests(db: &Db, user_ids: &[&str]) -> Result<HashSet<String>, StoreError> {
    let mut guests = HashSet::new();
    for batch in user_ids.chunks(BATCH) {
        let list = serde_json::Value::from(batch).to_string();
        let rows = sql!(
            db.read(), fetch_all as (String,),
            pg: "select user_id from users where user_id in (select json_array_elements_text($1::json)) and guest",
            lite: "select user_id from users where user_id in (select value from json_each($1)) and guest",
            list.as_str()
        )?;
        guests.extend(rows.into_iter().map(|(user_id,)| user_id));
    }
    Ok(guests)
}

/// Those among these users whose account ended with `erase`.
pub async fn find_erased(db: &Db, user_ids: &[&str]) -> Result<HashSet<String>, StoreError> {
    let mut erased = HashSet::new();
    for batch in user_ids.chunks(BATCH) {
        let list = serde_json::Value::from(batch).to_string();
        let rows = sql!(
            db.read(), fetch_all as (String,),
            pg: "select user_id from users where user_id in (select json_array_elements_text($1::json)) and erased",
            lite: "select user_id from users where user_id in (select value from json_each($1)) and erased",
            list.as_str()
        )?;
        erased.extend(rows.into_iter().map(|(user_id,)| user_id));
    }
    Ok(erased)
}
