//! Tables `audit_log` and `audit_head`.

use matrixon_store::{Db, StoreError, Tx, exec, from_row, sql};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AuditRow {
    pub seq: i64,
    pub ts: i64,
    pub actor: String,
    pub via: String,
    pub action: String,
    pub target: String,
    pub remote: String,
    pub result: String,
    pub request_id: String,
    pub details: String,
    pub prev_hash: Vec<u8>,
    pub hash: Vec<u8>,
}
from_row!(AuditRow { seq, ts, actor, via, action, target, remote, result, request_id, details, prev_hash, hash });

/// Which records to list; empty texts mean any.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub after_seq: i64,
    pub newest_first: bool,
    pub actor: String,
    pub action: String,
    pub target: String,
}

/// The end of the chain, locked for the transaction: whoever appends waits here.
pub(crate) async fn lock_head(tx: &mut Tx) -> Result<(i64, Vec<u8>), StoreError> {
    sql!(
        tx.ex(), fetch_one as (i64, Vec<u8>),
        pg: "select seq, hash from audit_head where id = 1 for update",
        lite: "select seq, hash from audit_head where id = 1" // one writer at a time anyway
    )
}

pub(crate) async fn find_head(db: &Db) -> Result<(i64, Vec<u8>), StoreError> {
    sql!(db.read(), fetch_one as (i64, Vec<u8>), "select seq, hash from audit_head where id = 1")
}

/// Appends a record and moves the head, whose lock the transaction holds.
pub(crate) async fn insert_record(tx: &mut Tx, row: &AuditRow, request_key: Option<&str>) -> Result<(), StoreError> {
    exec!(
        tx.ex(),
        "insert into audit_log (seq, ts, actor, via, action, target, remote, result, request_id, details,
             prev_hash, hash, request_key)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        row.seq,
        row.ts,
        row.actor.as_str(),
        row.via.as_str(),
        row.action.as_str(),
        row.target.as_str(),
        row.remote.as_str(),
        row.result.as_str(),
        row.request_id.as_str(),
        row.details.as_str(),
        row.prev_hash.as_slice(),
        row.hash.as_slice(),
        request_key
    )?;
    exec!(tx.ex(), "update audit_head set seq = $1, hash = $2 where id = 1", row.seq, row.hash.as_slice())?;
    Ok(())
}

/// What a request did in an earlier attempt: (action, target, details).
pub(crate) async fn find_by_request(
    tx: &mut Tx,
    request_key: &str,
) -> Result<Option<(String, String, String)>, StoreError> {
    sql!(
        tx.ex(),
        fetch_optional as (String, String, String),
        "select action, target, details from audit_log where request_key = $1",
        request_key
    )
}

/// Some actor's latest records, not more than these.
pub(crate) struct Latest<'a> {
    pub actor: &'a str,
    pub limit: i64,
    /// With this result, and younger.
    pub result: &'a str,
    pub after_ts: i64,
}

const LATEST: &str = "select count(*) from
         (select ts, result from audit_log where actor = $1 order by seq desc limit $2) as latest
     where result = $3 and ts > $4";

pub(crate) async fn count_latest(db: &Db, latest: &Latest<'_>) -> Result<i64, StoreError> {
    let Latest { actor, limit, result, after_ts } = *latest;
    let (count,) = sql!(db.read(), fetch_one as (i64,), LATEST, actor, limit, result, after_ts)?;
    Ok(count)
}

pub(crate) async fn count_latest_in(tx: &mut Tx, latest: &Latest<'_>) -> Result<i64, StoreError> {
    let Latest { actor, limit, result, after_ts } = *latest;
    let (count,) = sql!(tx.ex(), fetch_one as (i64,), LATEST, actor, limit, result, after_ts)?;
    Ok(count)
}

pub(crate) async fn list_records(db: &Db, wanted: &Wanted, limit: i64) -> Result<Vec<AuditRow>, StoreError> {
    const OLDEST: &str =
        "select seq, ts, actor, via, action, target, remote, result, request_id, details, prev_hash, hash
        from audit_log where seq > $1 and ($2 = '' or actor = $2) and ($3 = '' or action = $3)
            and ($4 = '' or target = $4) order by seq limit $5";
    const NEWEST: &str =
        "select seq, ts, actor, via, action, target, remote, result, request_id, details, prev_hash, hash
        from audit_log where seq < $1 and ($2 = '' or actor = $2) and ($3 = '' or action = $3)
            and ($4 = '' or target = $4) order by seq desc limit $5";
    let (actor, action, target) = (wanted.actor.as_str(), wanted.action.as_str(), wanted.target.as_str());
    if wanted.newest_first {
        let before = if wanted.after_seq == 0 { i64::MAX } else { wanted.after_seq };
        return sql!(db.read(), fetch_all as AuditRow, NEWEST, before, actor, action, target, limit);
    }
    sql!(db.read(), fetch_all as AuditRow, OLDEST, wanted.after_seq, actor, action, target, limit)
}
