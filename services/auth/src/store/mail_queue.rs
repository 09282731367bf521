//! Table `mail_queue`.

use matrixon_store::{Db, StoreError, Tx, exec, from_row, sql};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MailRow {
    pub id: i64,
    pub kind: String,
    pub recipient: String,
    pub sid: Option<String>,
    pub attempts: i64,
    pub expires_ts: i64,
}
from_row!(MailRow { id, kind, recipient, sid, attempts, expires_ts });

pub(crate) async fn insert_mail(
    tx: &mut Tx,
    kind: &str,
    recipient: &str,
    sid: Option<&str>,
    (now_ms, expires_ts): (i64, i64),
) -> Result<(), StoreError> {
    exec!(
        tx.ex(),
        "insert into mail_queue (kind, recipient, sid, due_ts, expires_ts, created_ts) values ($1, $2, $3, $4, $5, $4)",
        kind,
        recipient,
        sid,
        now_ms,
        expires_ts
    )?;
    Ok(())
}

/// Takes mails that are due; nobody else gets them before `until`.
pub(crate) async fn claim_due(db: &Db, now_ms: i64, until: i64, limit: i64) -> Result<Vec<MailRow>, StoreError> {
    sql!(
        db.write(), fetch_all as MailRow,
        pg: "update mail_queue set due_ts = $2, attempts = attempts + 1
             where id in (select id from mail_queue where due_ts <= $1 order by due_ts limit $3 for update skip locked)
             returning id, kind, recipient, sid, attempts, expires_ts",
        lite: "update mail_queue set due_ts = $2, attempts = attempts + 1
               where id in (select id from mail_queue where due_ts <= $1 order by due_ts limit $3)
               returning id, kind, recipient, sid, attempts, expires_ts",
        now_ms,
        until,
        limit
    )
}

/// Is anything due? Asked often, so that SQLite's one writer is not disturbed for nothing.
pub(crate) async fn any_due(db: &Db, now_ms: i64) -> Result<bool, StoreError> {
    let row =
        sql!(db.read(), fetch_optional as (i64,), "select id from mail_queue where due_ts <= $1 limit 1", now_ms)?;
    Ok(row.is_some())
}

pub(crate) async fn postpone(db: &Db, id: i64, due_ts: i64) -> Result<(), StoreError> {
    exec!(db.write(), "update mail_queue set due_ts = $2 where id = $1", id, due_ts)?;
    Ok(())
}

pub(crate) async fn delete_mail(db: &Db, id: i64) -> Result<(), StoreError> {
    exec!(db.write(), "delete from mail_queue where id = $1", id)?;
    Ok(())
}
