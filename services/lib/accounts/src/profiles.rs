//! Profiles, and the stream of their changes.

use matrixon_store::{Db, StoreError, from_row, sql};

/// A row of stream `profiles`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileChange {
    pub position: i64,
    pub user_id: String,
    pub field: String,
    /// Shall the user's rooms hear of it?
    pub propagate: bool,
}

from_row!(ProfileChange { position, user_id, field, propagate });

/// What rooms and the directory show of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileRow {
    pub user_id: String,
    pub displayname: Option<String>,
    pub avatar_url: Option<String>,
}

from_row!(ProfileRow { user_id, displayname, avatar_url });

/// Positions `after + 1 ..= upto`; pruned ones are left out.
pub async fn list_changes(db: &Db, after: i64, upto: i64) -> Result<Vec<ProfileChange>, StoreError> {
    sql!(
        db.read(),
        fetch_all as ProfileChange,
        "select position, user_id, field, propagate from profile_changes
         where position > $1 and position <= $2 order by position",
        after,
        upto
    )
}

/// In no particular order; users who are unknown here or deactivated are left out.
pub async fn load(db: &Db, user_ids: &[&str]) -> Result<Vec<ProfileRow>, StoreError> {
    sql!(
        db.read(), fetch_all as ProfileRow,
        pg: "select user_id, displayname, avatar_url from users
             where user_id = any(array(select json_array_elements_text($1::json))) and not deactivated",
        lite: "select user_id, displayname, avatar_url from users
               where user_id in (select value from json_each($1)) and not deactivated",
        serde_json::json!(user_ids).to_string()
    )
}

pub async fn find(db: &Db, user_id: &str) -> Result<Option<ProfileRow>, StoreError> {
    sql!(
        db.read(),
        fetch_optional as ProfileRow,
        "select user_id, displayname, avatar_url from users where user_id = $1 and not deactivated",
        user_id
    )
}

/// Is there, or was there, such an account here?
pub async fn exists(db: &Db, user_id: &str) -> Result<bool, StoreError> {
    let row = sql!(db.read(), fetch_optional as (i64,), "select id from users where user_id = $1", user_id)?;
    Ok(row.is_some())
}

/// Those of these users whom others shall not find: deactivated, locked or suspended.
pub async fn list_hidden(db: &Db, user_ids: &[&str]) -> Result<Vec<String>, StoreError> {
    let rows = sql!(
        db.read(), fetch_all as (String,),
        pg: "select user_id from users where user_id = any(array(select json_array_elements_text($1::json)))
             and (deactivated or locked or suspended)",
        lite: "select user_id from users where user_id in (select value from json_each($1))
               and (deactivated or locked or suspended)",
        serde_json::json!(user_ids).to_string()
    )?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}
