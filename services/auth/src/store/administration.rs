//! What administration reads and writes of the table `users` beyond [`super::users`].

use matrixon_store::{Db, StoreError, Tx, exec, from_row, sql};
use serde::Serialize;

/// An account as administrators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "columns of `users`, each a fact of its own")]
pub(crate) struct AccountRow {
    pub user_id: String,
    pub admin: bool,
    pub deactivated: bool,
    pub locked: bool,
    pub suspended: bool,
    pub erased: bool,
    pub guest: bool,
    pub has_password: bool,
    pub displayname: Option<String>,
    pub avatar_url: Option<String>,
    pub created_ts: i64,
    pub last_seen_ts: i64,
    pub devices: i64,
    /// With blanks between them.
    pub emails: String,
}
from_row!(AccountRow {
    user_id,
    admin,
    deactivated,
    locked,
    suspended,
    erased,
    guest,
    has_password,
    displayname,
    avatar_url,
    created_ts,
    last_seen_ts,
    devices,
    emails
});

/// Which accounts to list: user ids in `from <= user_id < before`, with these properties.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted<'a> {
    pub from: &'a str,
    pub before: &'a str,
    pub admin: Option<bool>,
    pub deactivated: Option<bool>,
    pub locked: Option<bool>,
    pub suspended: Option<bool>,
}

/// An account to be made with others.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct BulkUser<'a> {
    pub user_id: &'a str,
    /// The same in small letters.
    pub small: String,
    pub password_hash: Option<&'a str>,
    pub admin: bool,
    pub displayname: &'a str,
}

pub(crate) async fn find_account(db: &Db, user_id: &str) -> Result<Option<AccountRow>, StoreError> {
    sql!(
        db.read(), fetch_optional as AccountRow,
        pg: "select u.user_id, u.admin, u.deactivated, u.locked, u.suspended, u.erased,
                    u.guest, u.password_hash is not null as has_password,
                    u.displayname, u.avatar_url, u.created_ts,
                    coalesce((select max(d.last_seen_ts) from devices d where d.account = u.id), 0) as last_seen_ts,
                    (select count(*) from devices d where d.account = u.id) as devices,
                    coalesce((select string_agg(t.address, ' ' order by t.added_ts, t.address) from user_threepids t
                              where t.account = u.id and t.medium = 'email'), '') as emails
             from users u where u.user_id = $1",
        lite: "select u.user_id, u.admin, u.deactivated, u.locked, u.suspended, u.erased,
                      u.guest, u.password_hash is not null as has_password,
                      u.displayname, u.avatar_url, u.created_ts,
                      coalesce((select max(d.last_seen_ts) from devices d where d.account = u.id), 0) as last_seen_ts,
                      (select count(*) from devices d where d.account = u.id) as devices,
                      coalesce((select group_concat(t.address, ' ') from user_threepids t
                                where t.account = u.id and t.medium = 'email'), '') as emails
               from users u where u.user_id = $1",
        user_id
    )
}

/// In the order of the ids' bytes, from an index.
pub(crate) async fn list_accounts(db: &Db, wanted: &Wanted<'_>, limit: i64) -> Result<Vec<AccountRow>, StoreError> {
    sql!(
        db.read(), fetch_all as AccountRow,
        pg: "select u.user_id, u.admin, u.deactivated, u.locked, u.suspended, u.erased,
                    u.guest, u.password_hash is not null as has_password,
                    u.displayname, u.avatar_url, u.created_ts,
                    coalesce((select max(d.last_seen_ts) from devices d where d.account = u.id), 0) as last_seen_ts,
                    (select count(*) from devices d where d.account = u.id) as devices,
                    coalesce((select string_agg(t.address, ' ' order by t.added_ts, t.address) from user_threepids t
                              where t.account = u.id and t.medium = 'email'), '') as emails
             from users u
             where u.user_id collate \"C\" >= $1 and u.user_id collate \"C\" < $2
                 and ($3::boolean is null or u.admin = $3) and ($4::boolean is null or u.deactivated = $4)
                 and ($5::boolean is null or u.locked = $5) and ($6::boolean is null or u.suspended = $6)
             order by u.user_id collate \"C\" limit $7",
        lite: "select u.user_id, u.admin, u.deactivated, u.locked, u.suspended, u.erased,
                      u.guest, u.password_hash is not null as has_password,
                      u.displayname, u.avatar_url, u.created_ts,
                      coalesce((select max(d.last_seen_ts) from devices d where d.account = u.id), 0) as last_seen_ts,
                      (select count(*) from devices d where d.account = u.id) as devices,
                      coalesce((select group_concat(t.address, ' ') from user_threepids t
                                where t.account = u.id and t.medium = 'email'), '') as emails
               from users u
               where u.user_id >= $1 and u.user_id < $2
                   and ($3 is null or u.admin = $3) and ($4 is null or u.deactivated = $4)
                   and ($5 is null or u.locked = $5) and ($6 is null or u.suspended = $6)
               order by u.user_id limit $7",
        wanted.from, wanted.before, wanted.admin, wanted.deactivated, wanted.locked, wanted.suspended, limit
    )
}

pub(crate) async fn update_admin(tx: &mut Tx, user_id: &str, admin: bool) -> Result<(), StoreError> {
    exec!(tx.ex(), "update users set admin = $2 where user_id = $1", user_id, admin)?;
    Ok(())
}

pub(crate) async fn reactivate(tx: &mut Tx, user_id: &str, password_hash: Option<&str>) -> Result<(), StoreError> {
    exec!(
        tx.ex(),
        "update users set deactivated = false, erased = false, password_hash = $2 where user_id = $1",
        user_id,
        password_hash
    )?;
    Ok(())
}

/// What is kept of an account besides its row, its devices and its cross-signing keys.
pub(crate) async fn delete_data(tx: &mut Tx, account: i64) -> Result<(), StoreError> {
    // of a deleted backup the keys go in the background, however many there are
    exec!(tx.ex(), "update backup_versions set deleted = true where account = $1", account)?;
    exec!(tx.ex(), "delete from user_signatures where signer = $1", account)?;
    Ok(())
}

/// An address of an account to be made.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct BulkEmail<'a> {
    pub user_id: &'a str,
    pub address: &'a str,
}

/// Which of these addresses are somebody's.
pub(crate) async fn load_taken(db: &Db, addresses: &[&str]) -> Result<Vec<String>, StoreError> {
    let list = serde_json::Value::from(addresses).to_string();
    let rows = sql!(
        db.read(), fetch_all as (String,),
        pg: "select address from user_threepids
             where medium = 'email' and address in (select json_array_elements_text($1::json))",
        lite: "select address from user_threepids
               where medium = 'email' and address in (select value from json_each($1))",
        list.as_str()
    )?;
    Ok(rows.into_iter().map(|(address,)| address).collect())
}

/// Returns how many were nobody's and are the accounts' now.
pub(crate) async fn insert_emails(tx: &mut Tx, emails: &[BulkEmail<'_>], now_ms: i64) -> Result<u64, StoreError> {
    let list = serde_json::to_string(emails).map_err(|error| StoreError::inconsistent("user_threepids", error))?;
    exec!(
        tx.ex(),
        pg: "insert into user_threepids (medium, address, account, validated_ts, added_ts)
             select 'email', r.address, u.id, $2, $2
             from json_to_recordset($1::json) as r (user_id text, address text) join users u on u.user_id = r.user_id
             order by r.address collate \"C\"
             on conflict do nothing",
        lite: "insert into user_threepids (medium, address, account, validated_ts, added_ts)
               select 'email', r.value ->> '$.address', u.id, $2, $2
               from json_each($1) r join users u on u.user_id = r.value ->> '$.user_id' where true
               on conflict do nothing",
        list.as_str(), now_ms
    )
}

/// The accounts whose user ids are these, which are in small letters, or differ from one of them in capitals only.
pub(crate) async fn load_alike(db: &Db, small: &[String]) -> Result<Vec<String>, StoreError> {
    let list = serde_json::Value::from(small).to_string();
    let rows = sql!(
        db.read(), fetch_all as (String,),
        pg: "select user_id from users where user_id in (select json_array_elements_text($1::json))
             union all
             select user_id from users where lower(user_id collate \"C\") in (select json_array_elements_text($1::json))
                 and user_id <> lower(user_id collate \"C\")",
        lite: "select user_id from users where user_id in (select value from json_each($1))
               union all
               select user_id from users where lower(user_id) in (select value from json_each($1))
                   and user_id <> lower(user_id)",
        list.as_str()
    )?;
    Ok(rows.into_iter().map(|(user_id,)| user_id).collect())
}

/// Which of these ids have an account.
pub(crate) async fn load_existing(tx: &mut Tx, user_ids: &[&str]) -> Result<Vec<String>, StoreError> {
    let list = serde_json::Value::from(user_ids).to_string();
    let rows = sql!(
        tx.ex(), fetch_all as (String,),
        pg: "select user_id from users where user_id in (select json_array_elements_text($1::json))",
        lite: "select user_id from users where user_id in (select value from json_each($1))",
        list.as_str()
    )?;
    Ok(rows.into_iter().map(|(user_id,)| user_id).collect())
}

/// Makes many accounts in one statement and returns the ids of those that there were not yet, in whatever capitals.
/// Among the new ones no two may differ in capitals only.
pub(crate) async fn insert_users(tx: &mut Tx, users: &[BulkUser<'_>], now_ms: i64) -> Result<Vec<String>, StoreError> {
    let list = serde_json::to_string(users).map_err(|error| StoreError::inconsistent("users", error))?;
    let rows = sql!(
        tx.ex(), fetch_all as (String,),
        pg: "insert into users (user_id, password_hash, admin, displayname, created_ts)
             select r.user_id, r.password_hash, r.admin, r.displayname, $2
             from json_to_recordset($1::json)
                 as r (user_id text, small text, password_hash text, admin boolean, displayname text)
             where not exists (select 1 from users u where u.user_id = r.small)
                 and not exists (select 1 from users u where lower(u.user_id collate \"C\") = r.small
                                     and u.user_id <> lower(u.user_id collate \"C\"))
             order by r.user_id collate \"C\"
             on conflict do nothing returning user_id",
        lite: "insert into users (user_id, password_hash, admin, displayname, created_ts)
               select r.value ->> '$.user_id', r.value ->> '$.password_hash', r.value ->> '$.admin',
                      r.value ->> '$.displayname', $2
               from json_each($1) r
               where not exists (select 1 from users u where u.user_id = r.value ->> '$.small')
                   and not exists (select 1 from users u where lower(u.user_id) = r.value ->> '$.small'
                                       and u.user_id <> lower(u.user_id))
               on conflict do nothing returning user_id",
        list.as_str(), now_ms
    )?;
    Ok(rows.into_iter().map(|(user_id,)| user_id).collect())
}
