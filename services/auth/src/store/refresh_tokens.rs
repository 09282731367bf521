//! Table `refresh_tokens`.

use matrixon_store::{StoreError, Tx, exec, from_row, sql};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefreshRow {
    pub id: i64,
    pub device: i64,
    pub replaces: Option<i64>,
    pub user_id: String,
    pub device_id: String,
    pub deactivated: bool,
    pub locked: bool,
}
from_row!(RefreshRow { id, device, replaces, user_id, device_id, deactivated, locked });

/// Locks the device of a refresh token: whatever changes tokens locks their device first, one rotation at a time.
pub(crate) async fn lock_device_of(tx: &mut Tx, token_sha256: &[u8]) -> Result<(), StoreError> {
    sql!(
        tx.ex(), fetch_optional as (i64,),
        pg: "select id from devices where id = (select device from refresh_tokens where token_sha256 = $1) for update",
        lite: "select device from refresh_tokens where token_sha256 = $1", // one writer at a time anyway
        token_sha256
    )?;
    Ok(())
}

pub(crate) async fn find_refresh_token(tx: &mut Tx, token_sha256: &[u8]) -> Result<Option<RefreshRow>, StoreError> {
    sql!(
        tx.ex(),
        fetch_optional as RefreshRow,
        "select r.id, r.device, r.replaces, u.user_id, d.device_id, u.deactivated, u.locked
         from refresh_tokens r join devices d on d.id = r.device join users u on u.id = d.account
         where r.token_sha256 = $1",
        token_sha256
    )
}

#[derive(Clone, Debug)]
pub(crate) struct NewRefreshToken<'a> {
    pub token_sha256: &'a [u8],
    pub device: i64,
    pub replaces: Option<i64>,
    pub created_ts: i64,
    /// Idempotency key of the request that makes it.
    pub created_by_request: &'a str,
}

pub(crate) async fn insert_refresh_token(tx: &mut Tx, token: &NewRefreshToken<'_>) -> Result<i64, StoreError> {
    let (id,) = sql!(
        tx.ex(),
        fetch_one as (i64,),
        "insert into refresh_tokens (token_sha256, device, replaces, created_ts, created_by_request)
         values ($1, $2, $3, $4, $5) returning id",
        token.token_sha256,
        token.device,
        token.replaces,
        token.created_ts,
        token.created_by_request
    )?;
    Ok(id)
}

/// False: somebody else deleted it first.
pub(crate) async fn delete_refresh_token(tx: &mut Tx, id: i64) -> Result<bool, StoreError> {
    Ok(exec!(tx.ex(), "delete from refresh_tokens where id = $1", id)? > 0)
}

pub(crate) async fn delete_replacing(tx: &mut Tx, id: i64) -> Result<(), StoreError> {
    exec!(tx.ex(), "delete from refresh_tokens where replaces = $1", id)?;
    Ok(())
}

pub(crate) async fn clear_replacing(tx: &mut Tx, id: i64) -> Result<(), StoreError> {
    exec!(tx.ex(), "update refresh_tokens set replaces = null where replaces = $1", id)?;
    Ok(())
}
