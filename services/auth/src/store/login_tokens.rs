//! Table `login_tokens`: each logs in once.

use matrixon_store::{Db, StoreError, Tx, exec, sql};

pub(crate) async fn insert_login_token(
    db: &Db,
    token_sha256: &[u8],
    user_id: &str,
    expires_ts: i64,
) -> Result<(), StoreError> {
    exec!(
        db.write(),
        "insert into login_tokens (token_sha256, account, expires_ts)
         select $1, id, $3 from users where user_id = $2 and not deactivated",
        token_sha256,
        user_id,
        expires_ts
    )?;
    Ok(())
}

/// Uses a token up and returns its user. The same request may use it again; of several, the first to commit has it.
pub(crate) async fn use_login_token(
    tx: &mut Tx,
    token_sha256: &[u8],
    request: &str,
    now_ms: i64,
) -> Result<Option<String>, StoreError> {
    let row = sql!(
        tx.ex(),
        fetch_optional as (String,),
        "update login_tokens set used_by_request = $2
         where token_sha256 = $1 and expires_ts > $3 and (used_by_request is null or used_by_request = $2)
         returning (select user_id from users where id = account)",
        token_sha256,
        request,
        now_ms
    )?;
    Ok(row.map(|(user_id,)| user_id))
}

pub(crate) async fn delete_of_account(tx: &mut Tx, account: i64) -> Result<(), StoreError> {
    exec!(tx.ex(), "delete from login_tokens where account = $1", account)?;
    Ok(())
}

/// Deletes at most `limit` expired ones and tells how many.
pub(crate) async fn prune_login_tokens(db: &Db, now_ms: i64, limit: i64) -> Result<u64, StoreError> {
    exec!(
        db.write(),
        "delete from login_tokens where token_sha256 in (
             select token_sha256 from login_tokens where expires_ts <= $1 order by expires_ts limit $2)",
        now_ms,
        limit
    )
}
