//! Table `users`.

use matrixon_store::{Db, StoreError, Tx, exec, from_row, sql};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserRow {
    pub id: i64,
    pub user_id: String,
    pub password_hash: Option<String>,
    pub admin: bool,
    pub deactivated: bool,
    pub locked: bool,
}
from_row!(UserRow { id, user_id, password_hash, admin, deactivated, locked });

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProfileRow {
    pub user_id: String,
    pub displayname: Option<String>,
    pub avatar_url: Option<String>,
}
from_row!(ProfileRow { user_id, displayname, avatar_url });

#[derive(Clone, Debug)]
pub(crate) struct NewUser<'a> {
    pub user_id: &'a str,
    pub password_hash: Option<&'a str>,
    pub admin: bool,
    pub displayname: Option<&'a str>,
    pub created_ts: i64,
    pub created_by_request: Option<&'a str>,
}

/// None: the user id, one that differs from it in capitals only, or the request already has a row. (In PostgreSQL two
/// such user ids that are inserted at the same time do not see each other.)
pub(crate) async fn insert_user(tx: &mut Tx, user: &NewUser<'_>) -> Result<Option<i64>, StoreError> {
    let small = user.user_id.to_ascii_lowercase();
    let row = sql!(
        tx.ex(), fetch_optional as (i64,),
        pg: "insert into users (user_id, password_hash, admin, displayname, created_ts, created_by_request)
             select $1, $2, $3, $4, $5, $6
             where not exists (select 1 from users where user_id = $7)
                 and not exists (select 1 from users where lower(user_id collate \"C\") = $7
                                     and user_id <> lower(user_id collate \"C\"))
             on conflict do nothing returning id",
        lite: "insert into users (user_id, password_hash, admin, displayname, created_ts, created_by_request)
               select $1, $2, $3, $4, $5, $6
               where not exists (select 1 from users where user_id = $7)
                   and not exists (select 1 from users where lower(user_id) = $7 and user_id <> lower(user_id))
               on conflict do nothing returning id",
        user.user_id,
        user.password_hash,
        user.admin,
        user.displayname,
        user.created_ts,
        user.created_by_request,
        small.as_str()
    )?;
    Ok(row.map(|(id,)| id))
}

/// Has anybody had this user id, in whatever capitals?
pub(crate) async fn is_taken(db: &Db, user_id: &str) -> Result<bool, StoreError> {
    let small = user_id.to_ascii_lowercase();
    let (taken,) = sql!(
        db.read(), fetch_one as (bool,),
        pg: "select exists (select 1 from users where user_id = $1)
                 or exists (select 1 from users where lower(user_id collate \"C\") = $1
                                and user_id <> lower(user_id collate \"C\"))",
        lite: "select exists (select 1 from users where user_id = $1)
                   or exists (select 1 from users where lower(user_id) = $1 and user_id <> lower(user_id))",
        small.as_str()
    )?;
    Ok(taken)
}

pub(crate) async fn find_user(db: &Db, user_id: &str) -> Result<Option<UserRow>, StoreError> {
    sql!(
        db.read(),
        fetch_optional as UserRow,
        "select id, user_id, password_hash, admin, deactivated, locked from users where user_id = $1",
        user_id
    )
}

/// The account of the first of these user ids, or else of the second.
pub(crate) async fn find_either(db: &Db, first: &str, second: &str) -> Result<Option<UserRow>, StoreError> {
    sql!(
        db.read(),
        fetch_optional as UserRow,
        "select id, user_id, password_hash, admin, deactivated, locked from users where user_id in ($1, $2)
         order by case when user_id = $1 then 0 else 1 end limit 1",
        first,
        second
    )
}

/// The account that an address belongs to, unless it has ended. Addresses are canonical.
pub(crate) async fn find_by_address(db: &Db, medium: &str, address: &str) -> Result<Option<UserRow>, StoreError> {
    sql!(
        db.read(),
        fetch_optional as UserRow,
        "select u.id, u.user_id, u.password_hash, u.admin, u.deactivated, u.locked
         from user_threepids t join users u on u.id = t.account
         where t.medium = $1 and t.address = $2 and not u.deactivated",
        medium,
        address
    )
}

/// A user that must exist.
pub(crate) async fn get_user(tx: &mut Tx, user_id: &str) -> Result<UserRow, StoreError> {
    sql!(
        tx.ex(),
        fetch_one as UserRow,
        "select id, user_id, password_hash, admin, deactivated, locked from users where user_id = $1",
        user_id
    )
}

/// The account that this very request, in an earlier attempt, created.
pub(crate) async fn find_user_created_by(db: &Db, request: &str) -> Result<Option<UserRow>, StoreError> {
    sql!(
        db.read(),
        fetch_optional as UserRow,
        "select id, user_id, password_hash, admin, deactivated, locked from users where created_by_request = $1",
        request
    )
}

pub(crate) async fn any_user(db: &Db) -> Result<bool, StoreError> {
    Ok(sql!(db.read(), fetch_optional as (i64,), "select id from users limit 1")?.is_some())
}

/// False: no such user.
pub(crate) async fn update_password_hash(tx: &mut Tx, user_id: &str, hash: &str) -> Result<bool, StoreError> {
    Ok(exec!(tx.ex(), "update users set password_hash = $2 where user_id = $1", user_id, hash)? > 0)
}

/// Renews a hash of an old cost, unless the password was changed meanwhile.
pub(crate) async fn replace_password_hash(db: &Db, id: i64, old: &str, new: &str) -> Result<(), StoreError> {
    exec!(db.write(), "update users set password_hash = $3 where id = $1 and password_hash = $2", id, old, new)?;
    Ok(())
}

pub(crate) async fn find_profile(db: &Db, user_id: &str) -> Result<Option<ProfileRow>, StoreError> {
    sql!(
        db.read(),
        fetch_optional as ProfileRow,
        "select user_id, displayname, avatar_url from users where user_id = $1 and not deactivated",
        user_id
    )
}

pub(crate) async fn load_profiles(db: &Db, user_ids: &[String]) -> Result<Vec<ProfileRow>, StoreError> {
    let list = serde_json::Value::from(user_ids).to_string();
    sql!(
        db.read(), fetch_all as ProfileRow,
        pg: "select user_id, displayname, avatar_url from users
             where user_id in (select json_array_elements_text($1::json)) and not deactivated",
        lite: "select user_id, displayname, avatar_url from users
               where user_id in (select value from json_each($1)) and not deactivated",
        list.as_str()
    )
}
