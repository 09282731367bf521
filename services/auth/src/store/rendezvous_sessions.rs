//! Table `rendezvous_sessions`.

use matrixon_store::{Db, StoreError, exec, from_row, sql};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RendezvousRow {
    pub content: Vec<u8>,
    /// Grows with every write.
    pub version: i64,
    pub updated_ts: i64,
    pub expires_ts: i64,
    /// Idempotency key of the last write.
    pub updated_by_request: String,
}
from_row!(RendezvousRow { content, version, updated_ts, expires_ts, updated_by_request });

/// False: there are `most` already.
pub(crate) async fn insert_session(db: &Db, id: &str, row: &RendezvousRow, most: i64) -> Result<bool, StoreError> {
    let inserted = exec!(
        db.write(),
        "insert into rendezvous_sessions (id, content, version, updated_ts, expires_ts, updated_by_request)
         select $1, $2, $3, $4, $5, $6 where (select count(*) from rendezvous_sessions) < $7",
        id,
        row.content.as_slice(),
        row.version,
        row.updated_ts,
        row.expires_ts,
        row.updated_by_request.as_str(),
        most
    )?;
    Ok(inserted > 0)
}

pub(crate) async fn find_session(db: &Db, id: &str, now_ms: i64) -> Result<Option<RendezvousRow>, StoreError> {
    // what was written must be read at once: not from a replica that is behind
    sql!(
        db.write(),
        fetch_optional as RendezvousRow,
        "select content, version, updated_ts, expires_ts, updated_by_request from rendezvous_sessions
         where id = $1 and expires_ts > $2",
        id,
        now_ms
    )
}

/// A new content, if the session is still what the writer saw. False: it is not.
pub(crate) async fn update_session(
    db: &Db,
    id: &str,
    seen: i64,
    (content, request): (&[u8], &str),
    now_ms: i64,
) -> Result<bool, StoreError> {
    let updated = exec!(
        db.write(),
        "update rendezvous_sessions set content = $3, version = version + 1, updated_ts = $4, updated_by_request = $5
         where id = $1 and version = $2 and expires_ts > $4",
        id,
        seen,
        content,
        now_ms,
        request
    )?;
    Ok(updated > 0)
}

/// False: there was none.
pub(crate) async fn delete_session(db: &Db, id: &str) -> Result<bool, StoreError> {
    Ok(exec!(db.write(), "delete from rendezvous_sessions where id = $1", id)? > 0)
}

/// Deletes at most `limit` expired ones and tells how many.
pub(crate) async fn prune_sessions(db: &Db, now_ms: i64, limit: i64) -> Result<u64, StoreError> {
    exec!(
        db.write(),
        "delete from rendezvous_sessions where id in (
             select id from rendezvous_sessions where expires_ts <= $1 order by expires_ts limit $2)",
        now_ms,
        limit
    )
}
