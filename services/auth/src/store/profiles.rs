//! Profiles: columns `displayname` and `avatar_url` of `users`, table `profile_fields`, and the rows of stream `profiles`.

use matrixon_store::{Db, StoreError, Tx, exec, sql};

/// An account's profile: `(field, JSON)`, by field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Profile {
    pub account: i64,
    pub displayname: Option<String>,
    pub avatar_url: Option<String>,
    pub fields: Vec<(String, String)>,
}

/// A change of somebody's profile, or of there being one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProfileChange {
    pub user_id: String,
    /// Empty: the account has ended.
    pub field: String,
    /// Shall the user's rooms hear of it?
    pub propagate: bool,
}

type UserColumns = (i64, Option<String>, Option<String>);

/// None: no such account, or a deactivated one.
pub(crate) async fn find_profile(db: &Db, user_id: &str) -> Result<Option<Profile>, StoreError> {
    let rows = sql!(
        db.read(),
        fetch_all as (i64, Option<String>, Option<String>, Option<String>, Option<String>),
        "select u.id, u.displayname, u.avatar_url, f.field, f.value from users u
         left join profile_fields f on f.account = u.id
         where u.user_id = $1 and not u.deactivated order by f.field",
        user_id
    )?;
    let Some((account, displayname, avatar_url, ..)) = rows.first().cloned() else { return Ok(None) };
    let fields = rows.into_iter().filter_map(|(_, _, _, field, value)| field.zip(value)).collect();
    Ok(Some(Profile { account, displayname, avatar_url, fields }))
}

/// The profile as it is to be changed: until the transaction ends, nobody else changes it.
pub(crate) async fn lock_profile(tx: &mut Tx, user_id: &str) -> Result<Option<Profile>, StoreError> {
    let row = sql!(
        tx.ex(), fetch_optional as UserColumns,
        pg: "select id, displayname, avatar_url from users where user_id = $1 and not deactivated for no key update",
        lite: "select id, displayname, avatar_url from users where user_id = $1 and not deactivated",
        user_id
    )?;
    let Some((account, displayname, avatar_url)) = row else { return Ok(None) };
    let fields = sql!(
        tx.ex(),
        fetch_all as (String, String),
        "select field, value from profile_fields where account = $1 order by field",
        account
    )?;
    Ok(Some(Profile { account, displayname, avatar_url, fields }))
}

pub(crate) async fn update_displayname(tx: &mut Tx, account: i64, value: Option<&str>) -> Result<(), StoreError> {
    exec!(tx.ex(), "update users set displayname = $2 where id = $1", account, value)?;
    Ok(())
}

pub(crate) async fn update_avatar_url(tx: &mut Tx, account: i64, value: Option<&str>) -> Result<(), StoreError> {
    exec!(tx.ex(), "update users set avatar_url = $2 where id = $1", account, value)?;
    Ok(())
}

/// `value` is JSON.
pub(crate) async fn upsert_field(tx: &mut Tx, account: i64, field: &str, value: &str) -> Result<(), StoreError> {
    exec!(
        tx.ex(),
        "insert into profile_fields (account, field, value) values ($1, $2, $3)
         on conflict (account, field) do update set value = excluded.value",
        account,
        field,
        value
    )?;
    Ok(())
}

pub(crate) async fn delete_field(tx: &mut Tx, account: i64, field: &str) -> Result<(), StoreError> {
    exec!(tx.ex(), "delete from profile_fields where account = $1 and field = $2", account, field)?;
    Ok(())
}

/// Rows of stream `profiles` from position `first` on.
pub(crate) async fn insert_changes(
    tx: &mut Tx,
    first: i64,
    changes: &[ProfileChange],
    now_ms: i64,
) -> Result<(), StoreError> {
    let rows: Vec<(&str, &str, bool)> =
        changes.iter().map(|change| (change.user_id.as_str(), change.field.as_str(), change.propagate)).collect();
    exec!(
        tx.ex(),
        pg: "insert into profile_changes (position, user_id, field, created_ts, propagate)
             select $1 + t.n - 1, t.r->>0, t.r->>1, $2, (t.r->>2)::boolean
             from json_array_elements($3::json) with ordinality as t (r, n)",
        lite: "insert into profile_changes (position, user_id, field, created_ts, propagate)
               select $1 + key, json_extract(value, '$[0]'), json_extract(value, '$[1]'), $2, json_extract(value, '$[2]')
               from json_each($3)",
        first, now_ms, serde_json::json!(rows).to_string()
    )?;
    Ok(())
}

/// Deletes at most `limit` rows up to `passed` that are older than `cutoff_ms`, and tells how many.
pub(crate) async fn prune_changes(db: &Db, passed: i64, cutoff_ms: i64, limit: i64) -> Result<u64, StoreError> {
    exec!(
        db.write(),
        "delete from profile_changes where position in (
             select position from profile_changes where position <= $1 and created_ts < $2 order by position limit $3)",
        passed,
        cutoff_ms,
        limit
    )
}
