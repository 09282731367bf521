//! Table `revocations`, the rows of the stream of the same name.

use matrixon_store::{Db, StoreError, Tx, exec, from_row, sql};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RevocationRow {
    pub position: i64,
    pub user_id: String,
    pub device_id: String,
    pub token_sha256: Vec<u8>,
}
from_row!(RevocationRow { position, user_id, device_id, token_sha256 });

pub(crate) async fn insert_revocation(tx: &mut Tx, row: &RevocationRow, now_ms: i64) -> Result<(), StoreError> {
    exec!(
        tx.ex(),
        "insert into revocations (position, user_id, device_id, token_sha256, created_ts) values ($1, $2, $3, $4, $5)",
        row.position,
        row.user_id.as_str(),
        row.device_id.as_str(),
        row.token_sha256.as_slice(),
        now_ms
    )?;
    Ok(())
}

/// The rows of `since < position <= to`, the oldest first.
pub(crate) async fn list_revocations(
    db: &Db,
    since: i64,
    to: i64,
    limit: i64,
) -> Result<Vec<RevocationRow>, StoreError> {
    sql!(
        db.read(),
        fetch_all as RevocationRow,
        "select position, user_id, device_id, token_sha256 from revocations
         where position > $1 and position <= $2 order by position limit $3",
        since,
        to,
        limit
    )
}

/// Deletes at most `limit` rows of before `cutoff_ms`, the oldest first, and tells how many. It stops at the first
/// row that is younger: what is kept has no hole.
pub(crate) async fn prune_revocations(db: &Db, cutoff_ms: i64, limit: i64) -> Result<u64, StoreError> {
    exec!(
        db.write(),
        "delete from revocations where position in (
             select position from revocations
             where position < coalesce(
                 (select min(position) from revocations where created_ts >= $1),
                 (select max(position) + 1 from revocations))
             order by position limit $2)",
        cutoff_ms,
        limit
    )
}
