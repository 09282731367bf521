//! Table `openid_tokens`.

use matrixon_store::{Db, StoreError, exec, sql};

pub(crate) async fn insert_token(
    db: &Db,
    token_sha256: &[u8; 32],
    user_id: &str,
    expires_ts: i64,
) -> Result<(), StoreError> {
    exec!(
        db.write(),
        "insert into openid_tokens (token_sha256, user_id, expires_ts) values ($1, $2, $3)",
        token_sha256.as_slice(),
        user_id,
        expires_ts
    )?;
    Ok(())
}

/// Whose token is it? None: unknown, expired, or of an account that was deactivated.
pub(crate) async fn find_owner(db: &Db, token_sha256: &[u8; 32], now_ms: i64) -> Result<Option<String>, StoreError> {
    let row = sql!(
        db.read(),
        fetch_optional as (String,),
        "select t.user_id from openid_tokens t join users u on u.user_id = t.user_id
         where t.token_sha256 = $1 and t.expires_ts > $2 and not u.deactivated",
        token_sha256.as_slice(),
        now_ms
    )?;
    Ok(row.map(|row| row.0))
}

pub(crate) async fn delete_expired(db: &Db, now_ms: i64) -> Result<u64, StoreError> {
    exec!(db.write(), "delete from openid_tokens where expires_ts <= $1", now_ms)
}
