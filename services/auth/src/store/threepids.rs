//! Tables `user_threepids` and `user_threepid_bindings`. Addresses are canonical.

use matrixon_store::{Db, StoreError, Tx, exec, from_row, sql};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ThreepidRow {
    pub medium: String,
    pub address: String,
    pub validated_ts: i64,
    pub added_ts: i64,
}
from_row!(ThreepidRow { medium, address, validated_ts, added_ts });

/// The user id that an address belongs to.
pub(crate) async fn find_owner(db: &Db, medium: &str, address: &str) -> Result<Option<String>, StoreError> {
    let row = sql!(
        db.read(),
        fetch_optional as (String,),
        "select u.user_id from user_threepids t join users u on u.id = t.account
         where t.medium = $1 and t.address = $2 and not u.deactivated",
        medium,
        address
    )?;
    Ok(row.map(|(user_id,)| user_id))
}

pub(crate) async fn list_threepids(db: &Db, user_id: &str) -> Result<Vec<ThreepidRow>, StoreError> {
    sql!(
        db.read(),
        fetch_all as ThreepidRow,
        "select t.medium, t.address, t.validated_ts, t.added_ts
         from users u join user_threepids t on t.account = u.id
         where u.user_id = $1 order by t.added_ts, t.medium, t.address",
        user_id
    )
}

/// The account that now has the address: the given one, or whoever had it before.
pub(crate) async fn insert_threepid(tx: &mut Tx, account: i64, row: &ThreepidRow) -> Result<i64, StoreError> {
    // an update that changes nothing, for it returns the row
    let (owner,) = sql!(
        tx.ex(),
        fetch_one as (i64,),
        "insert into user_threepids (medium, address, account, validated_ts, added_ts) values ($1, $2, $3, $4, $5)
         on conflict (medium, address) do update set account = user_threepids.account returning account",
        row.medium.as_str(),
        row.address.as_str(),
        account,
        row.validated_ts,
        row.added_ts
    )?;
    Ok(owner)
}

/// False: it was not the account's.
pub(crate) async fn delete_threepid(
    tx: &mut Tx,
    account: i64,
    medium: &str,
    address: &str,
) -> Result<bool, StoreError> {
    let deleted = exec!(
        tx.ex(),
        "delete from user_threepids where medium = $2 and address = $3 and account = $1",
        account,
        medium,
        address
    )?;
    Ok(deleted > 0)
}

/// All that an account has, here and elsewhere.
pub(crate) async fn delete_of_account(tx: &mut Tx, account: i64) -> Result<(), StoreError> {
    exec!(tx.ex(), "delete from user_threepids where account = $1", account)?;
    exec!(tx.ex(), "delete from user_threepid_bindings where account = $1", account)?;
    Ok(())
}

pub(crate) async fn insert_binding(
    db: &Db,
    account: i64,
    (medium, address): (&str, &str),
    id_server: &str,
) -> Result<(), StoreError> {
    exec!(
        db.write(),
        "insert into user_threepid_bindings (account, medium, address, id_server) values ($1, $2, $3, $4)
         on conflict do nothing",
        account,
        medium,
        address,
        id_server
    )?;
    Ok(())
}

/// The identity servers that know of the association.
pub(crate) async fn list_bindings(
    db: &Db,
    account: i64,
    medium: &str,
    address: &str,
) -> Result<Vec<String>, StoreError> {
    let rows = sql!(
        db.read(),
        fetch_all as (String,),
        "select id_server from user_threepid_bindings where account = $1 and medium = $2 and address = $3
         order by id_server",
        account,
        medium,
        address
    )?;
    Ok(rows.into_iter().map(|(id_server,)| id_server).collect())
}

/// Medium and address of all that some identity server was told of.
pub(crate) async fn list_bound(db: &Db, account: i64) -> Result<Vec<(String, String)>, StoreError> {
    sql!(
        db.read(),
        fetch_all as (String, String),
        "select distinct medium, address from user_threepid_bindings where account = $1 order by medium, address",
        account
    )
}

pub(crate) async fn delete_binding(
    db: &Db,
    account: i64,
    (medium, address): (&str, &str),
    id_server: &str,
) -> Result<(), StoreError> {
    exec!(
        db.write(),
        "delete from user_threepid_bindings
         where account = $1 and medium = $2 and address = $3 and id_server = $4",
        account,
        medium,
        address,
        id_server
    )?;
    Ok(())
}

/// The user id that an address belongs to. It stays theirs until the end of the transaction.
pub(crate) async fn lock_owner(tx: &mut Tx, medium: &str, address: &str) -> Result<Option<String>, StoreError> {
    let row = sql!(
        tx.ex(), fetch_optional as (String,),
        pg: "select u.user_id from user_threepids t join users u on u.id = t.account
             where t.medium = $1 and t.address = $2 and not u.deactivated for update of t",
        lite: "select u.user_id from user_threepids t join users u on u.id = t.account
               where t.medium = $1 and t.address = $2 and not u.deactivated",
        medium,
        address
    )?;
    Ok(row.map(|(user_id,)| user_id))
}
