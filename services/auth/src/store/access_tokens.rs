//! Table `access_tokens`: opaque tokens, known by their SHA-256 alone.

use matrixon_store::{Db, StoreError, Tx, exec, from_row, sql, streams::Stream};

/// A token's holder, and the position of the `revocations` stream as of the same moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "columns of `users`, each a fact of its own")]
pub(crate) struct Holder {
    pub position: i64,
    pub user_id: String,
    pub admin: bool,
    pub deactivated: bool,
    pub guest: bool,
    pub suspended: bool,
    pub locked: bool,
    pub device: i64,
    pub device_id: String,
    pub expires_ts: Option<i64>,
    pub replaces: Option<i64>,
}
from_row!(Holder {
    position,
    user_id,
    admin,
    deactivated,
    guest,
    suspended,
    locked,
    device,
    device_id,
    expires_ts,
    replaces
});

#[derive(Clone, Debug)]
pub(crate) struct NewAccessToken<'a> {
    pub token_sha256: &'a [u8],
    pub device: i64,
    pub refresh: Option<i64>,
    pub replaces: Option<i64>,
    pub expires_ts: Option<i64>,
    pub created_ts: i64,
}

/// One statement, hence one snapshot: whatever ends this session later has a greater position.
pub(crate) async fn find_holder(db: &Db, token_sha256: &[u8]) -> Result<Option<Holder>, StoreError> {
    sql!(
        db.read(),
        fetch_optional as Holder,
        "select (select position from stream_positions where stream = $2) as position,
                u.user_id, u.admin, u.deactivated, u.guest, u.suspended, u.locked, d.id as device, d.device_id, t.expires_ts, t.replaces
         from access_tokens t join devices d on d.id = t.device join users u on u.id = d.account
         where t.token_sha256 = $1",
        token_sha256,
        Stream::REVOCATIONS.name()
    )
}

pub(crate) async fn insert_access_token(tx: &mut Tx, token: &NewAccessToken<'_>) -> Result<(), StoreError> {
    exec!(
        tx.ex(),
        "insert into access_tokens (token_sha256, device, refresh, replaces, expires_ts, created_ts)
         values ($1, $2, $3, $4, $5, $6)",
        token.token_sha256,
        token.device,
        token.refresh,
        token.replaces,
        token.expires_ts,
        token.created_ts
    )?;
    Ok(())
}

/// Deletes the access and refresh tokens of a device, spent ones too: what begins now is another session. True if any
/// were good.
pub(crate) async fn delete_tokens_of_device(tx: &mut Tx, device: i64) -> Result<bool, StoreError> {
    let access = exec!(tx.ex(), "delete from access_tokens where device = $1", device)?;
    let refresh = exec!(tx.ex(), "delete from refresh_tokens where device = $1", device)?;
    exec!(tx.ex(), "delete from spent_refresh_tokens where device = $1", device)?;
    Ok(access + refresh > 0)
}

/// The access tokens of a device are expired from now on.
pub(crate) async fn expire_tokens_of_device(tx: &mut Tx, device: i64) -> Result<(), StoreError> {
    exec!(
        tx.ex(),
        "update access_tokens set expires_ts = 0, refresh = null, replaces = null where device = $1",
        device
    )?;
    Ok(())
}

/// Deletes the access tokens of a generation and returns their hashes.
pub(crate) async fn delete_by_refresh(tx: &mut Tx, refresh: i64) -> Result<Vec<Vec<u8>>, StoreError> {
    let rows = sql!(
        tx.ex(),
        fetch_all as (Vec<u8>,),
        "delete from access_tokens where refresh = $1 returning token_sha256",
        refresh
    )?;
    Ok(rows.into_iter().map(|(token_sha256,)| token_sha256).collect())
}

/// Deletes the never used access tokens of generations that would have replaced this refresh token.
pub(crate) async fn delete_replacing(tx: &mut Tx, refresh: i64) -> Result<(), StoreError> {
    exec!(tx.ex(), "delete from access_tokens where replaces = $1", refresh)?;
    Ok(())
}

/// The generation that replaced this refresh token is in use now.
pub(crate) async fn clear_replacing(tx: &mut Tx, refresh: i64) -> Result<(), StoreError> {
    exec!(tx.ex(), "update access_tokens set replaces = null where replaces = $1", refresh)?;
    Ok(())
}
