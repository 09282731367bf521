//! Table `spent_refresh_tokens`: those whose successor is in use.

use matrixon_store::{Db, StoreError, Tx, exec, from_row, sql};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spent {
    pub device: i64,
    pub request: Option<String>,
    pub user_id: String,
    pub device_id: String,
}
from_row!(Spent { device, request, user_id, device_id });

/// Finds a spent token and locks its device.
pub(crate) async fn find_spent(tx: &mut Tx, token_sha256: &[u8]) -> Result<Option<Spent>, StoreError> {
    sql!(
        tx.ex(), fetch_optional as Spent,
        pg: "select s.device, s.request, u.user_id, d.device_id
             from spent_refresh_tokens s join devices d on d.id = s.device join users u on u.id = d.account
             where s.token_sha256 = $1 for update of d",
        lite: "select s.device, s.request, u.user_id, d.device_id
               from spent_refresh_tokens s join devices d on d.id = s.device join users u on u.id = d.account
               where s.token_sha256 = $1",
        token_sha256
    )
}

/// Remembers a refresh token that its successor has replaced.
pub(crate) async fn spend(tx: &mut Tx, refresh: i64, now_ms: i64) -> Result<(), StoreError> {
    exec!(
        tx.ex(),
        "insert into spent_refresh_tokens (token_sha256, device, request, spent_ts)
         select r.token_sha256, r.device,
                (select s.created_by_request from refresh_tokens s where s.replaces = r.id limit 1), $2
         from refresh_tokens r where r.id = $1 on conflict do nothing",
        refresh,
        now_ms
    )?;
    Ok(())
}

/// No refresh token of this device is good any more.
pub(crate) async fn spend_all(tx: &mut Tx, device: i64, now_ms: i64) -> Result<(), StoreError> {
    exec!(
        tx.ex(),
        "insert into spent_refresh_tokens (token_sha256, device, spent_ts)
         select token_sha256, device, $2 from refresh_tokens where device = $1 on conflict do nothing",
        device,
        now_ms
    )?;
    exec!(tx.ex(), "delete from refresh_tokens where device = $1", device)?;
    Ok(())
}

/// Deletes at most `limit` that were spent before `cutoff_ms` and tells how many.
pub(crate) async fn prune_spent(db: &Db, cutoff_ms: i64, limit: i64) -> Result<u64, StoreError> {
    exec!(
        db.write(),
        "delete from spent_refresh_tokens where token_sha256 in (
             select token_sha256 from spent_refresh_tokens where spent_ts < $1 order by spent_ts limit $2)",
        cutoff_ms,
        limit
    )
}
