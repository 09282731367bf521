//! Table `registration_tokens`.

use matrixon_store::{Db, StoreError, Tx, exec, from_row, sql};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RegistrationToken {
    pub token: String,
    /// None: any number.
    pub uses_allowed: Option<i64>,
    /// Accounts made with it.
    pub completed: i64,
    /// None: never.
    pub expires_ts: Option<i64>,
    /// Accounts made with it are administrators.
    pub grants_admin: bool,
    pub created_ts: i64,
}
from_row!(RegistrationToken { token, uses_allowed, completed, expires_ts, grants_admin, created_ts });

/// False: the token exists already, or this request has made one.
pub(crate) async fn insert_token(
    tx: &mut Tx,
    token: &RegistrationToken,
    request: Option<&str>,
) -> Result<bool, StoreError> {
    let inserted = exec!(
        tx.ex(),
        "insert into registration_tokens
             (token, uses_allowed, completed, expires_ts, grants_admin, created_ts, created_by_request)
         values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing",
        token.token.as_str(),
        token.uses_allowed,
        token.completed,
        token.expires_ts,
        token.grants_admin,
        token.created_ts,
        request
    )?;
    Ok(inserted > 0)
}

/// The token that this very request, in an earlier attempt, created.
pub(crate) async fn find_token_of_request(tx: &mut Tx, request: &str) -> Result<Option<RegistrationToken>, StoreError> {
    sql!(
        tx.ex(),
        fetch_optional as RegistrationToken,
        "select token, uses_allowed, completed, expires_ts, grants_admin, created_ts
         from registration_tokens where created_by_request = $1",
        request
    )
}

/// Makes the one token of the first start unless there is one, and returns it.
pub(crate) async fn ensure_bootstrap_token(db: &Db, token: &str, now_ms: i64) -> Result<String, StoreError> {
    let made = exec!(
        db.write(),
        "insert into registration_tokens (token, uses_allowed, grants_admin, bootstrap, created_ts)
         values ($1, 1, true, true, $2) on conflict do nothing",
        token,
        now_ms
    )?;
    if made > 0 {
        return Ok(token.to_owned());
    }
    let (token,) = sql!(db.write(), fetch_one as (String,), "select token from registration_tokens where bootstrap")?;
    Ok(token)
}

/// The token of the first start has done its duty once there is an administrator.
pub(crate) async fn delete_bootstrap_token(tx: &mut Tx) -> Result<(), StoreError> {
    exec!(tx.ex(), "delete from registration_tokens where bootstrap")?;
    Ok(())
}

pub(crate) async fn is_valid(db: &Db, token: &str, now_ms: i64) -> Result<bool, StoreError> {
    let row = sql!(
        db.read(),
        fetch_optional as (i64,),
        "select completed from registration_tokens where token = $1
             and (uses_allowed is null or completed < uses_allowed) and (expires_ts is null or expires_ts > $2)",
        token,
        now_ms
    )?;
    Ok(row.is_some())
}

/// Counts one use, if the token still has one; tells whether it makes administrators. The row lock that this takes
/// lasts until the account is committed: of many registrations with the last use, one gets it.
pub(crate) async fn use_token(tx: &mut Tx, token: &str, now_ms: i64) -> Result<Option<bool>, StoreError> {
    let row = sql!(
        tx.ex(),
        fetch_optional as (bool,),
        "update registration_tokens set completed = completed + 1 where token = $1
             and (uses_allowed is null or completed < uses_allowed) and (expires_ts is null or expires_ts > $2)
         returning grants_admin",
        token,
        now_ms
    )?;
    Ok(row.map(|(grants_admin,)| grants_admin))
}

/// The tokens after one of them, in the order of their creation.
pub(crate) async fn list_tokens_after(
    db: &Db,
    (created_ts, token): (i64, &str),
    limit: i64,
) -> Result<Vec<RegistrationToken>, StoreError> {
    sql!(
        db.read(),
        fetch_all as RegistrationToken,
        "select token, uses_allowed, completed, expires_ts, grants_admin, created_ts from registration_tokens
         where created_ts > $1 or (created_ts = $1 and token > $2) order by created_ts, token limit $3",
        created_ts,
        token,
        limit
    )
}

/// False: there was none.
pub(crate) async fn delete_token(tx: &mut Tx, token: &str) -> Result<bool, StoreError> {
    Ok(exec!(tx.ex(), "delete from registration_tokens where token = $1", token)? > 0)
}
