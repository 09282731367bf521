//! Table `content_reports`, which the room service fills.

use matrixon_store::{Db, StoreError, Tx, exec, from_row, sql};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReportRow {
    pub(crate) id: i64,
    pub(crate) kind: String,
    pub(crate) reporter: String,
    pub(crate) room_id: String,
    pub(crate) event_id: String,
    pub(crate) user_id: String,
    pub(crate) reason: String,
    pub(crate) received_ts: i64,
}
from_row!(ReportRow { id, kind, reporter, room_id, event_id, user_id, reason, received_ts });

/// Which reports; empty strings ask for all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) kind: &'a str,
    pub(crate) reporter: &'a str,
    /// Reports of smaller ids only.
    pub(crate) before: i64,
    pub(crate) limit: i64,
}

/// The newest first.
pub(crate) async fn list_reports(db: &Db, wanted: Wanted<'_>) -> Result<Vec<ReportRow>, StoreError> {
    sql!(
        db.read(),
        fetch_all as ReportRow,
        "select id, kind, reporter, room_id, event_id, user_id, reason, received_ts from content_reports
         where id < $1 and ($2 = '' or kind = $2) and ($3 = '' or reporter = $3) order by id desc limit $4",
        wanted.before,
        wanted.kind,
        wanted.reporter,
        wanted.limit
    )
}

pub(crate) async fn find_report(db: &Db, id: i64) -> Result<Option<ReportRow>, StoreError> {
    sql!(
        db.read(),
        fetch_optional as ReportRow,
        "select id, kind, reporter, room_id, event_id, user_id, reason, received_ts from content_reports where id = $1",
        id
    )
}

/// False: there was none.
pub(crate) async fn delete_report(tx: &mut Tx, id: i64) -> Result<bool, StoreError> {
    Ok(exec!(tx.ex(), "delete from content_reports where id = $1", id)? > 0)
}
