//! Table `users`: how an account stands.

use matrixon_store::{Db, StoreError, Tx, exec, from_row, sql};

#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "columns, each a fact of its own")]
pub(crate) struct UserState {
    pub id: i64,
    pub admin: bool,
    pub guest: bool,
    pub suspended: bool,
    pub locked: bool,
    pub deactivated: bool,
    pub erased: bool,
}
from_row!(UserState { id, admin, guest, suspended, locked, deactivated, erased });

/// What an administrator may switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flag {
    Suspended,
    Locked,
}

pub(crate) async fn find_state(db: &Db, user_id: &str) -> Result<Option<UserState>, StoreError> {
    sql!(
        db.read(),
        fetch_optional as UserState,
        "select id, admin, guest, suspended, locked, deactivated, erased from users where user_id = $1",
        user_id
    )
}

/// Locks the row: whatever changes how an account stands does this first.
pub(crate) async fn lock_state(tx: &mut Tx, user_id: &str) -> Result<Option<UserState>, StoreError> {
    sql!(
        tx.ex(), fetch_optional as UserState,
        pg: "select id, admin, guest, suspended, locked, deactivated, erased from users where user_id = $1 for update",
        lite: "select id, admin, guest, suspended, locked, deactivated, erased from users where user_id = $1",
        user_id
    )
}

pub(crate) async fn set_flag(tx: &mut Tx, user_id: &str, flag: Flag, on: bool) -> Result<(), StoreError> {
    let statement = match flag {
        Flag::Suspended => "update users set suspended = $2 where user_id = $1",
        Flag::Locked => "update users set locked = $2 where user_id = $1",
    };
    exec!(tx.ex(), statement, user_id, on)?;
    Ok(())
}

/// Ends the account. The hash stays, so that who knows the password is told why it does not open the account any
/// more; with `erase` it goes, and so does the profile.
pub(crate) async fn deactivate(tx: &mut Tx, id: i64, erase: bool) -> Result<(), StoreError> {
    exec!(
        tx.ex(),
        "update users set deactivated = true, admin = false, erased = (erased or $2),
             password_hash = case when $2 then null else password_hash end,
             displayname = case when $2 then null else displayname end,
             avatar_url = case when $2 then null else avatar_url end
         where id = $1",
        id,
        erase
    )?;
    if erase {
        exec!(tx.ex(), "delete from profile_fields where account = $1", id)?;
    }
    Ok(())
}

pub(crate) async fn set_guest(tx: &mut Tx, id: i64) -> Result<(), StoreError> {
    exec!(tx.ex(), "update users set guest = true where id = $1", id)?;
    Ok(())
}

/// Makes a guest a full account. None: there is no such guest (any more).
pub(crate) async fn upgrade_guest(
    tx: &mut Tx,
    user_id: &str,
    password_hash: &str,
    request: Option<&str>,
) -> Result<Option<i64>, StoreError> {
    let row = sql!(
        tx.ex(),
        fetch_optional as (i64,),
        "update users set guest = false, password_hash = $2, created_by_request = coalesce($3, created_by_request)
         where user_id = $1 and guest and not deactivated returning id",
        user_id,
        password_hash,
        request
    )?;
    Ok(row.map(|(id,)| id))
}
