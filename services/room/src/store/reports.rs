//! Table `content_reports`.

use matrixon_store::{Db, StoreError, exec, from_row, sql};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
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

/// Stores a report; its `id` is given by the database. The same one again replaces the earlier one.
pub(crate) async fn upsert(db: &Db, report: &ReportRow) -> Result<(), StoreError> {
    exec!(
        db.write(),
        "insert into content_reports (kind, reporter, room_id, event_id, user_id, reason, received_ts)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (reporter, kind, room_id, event_id, user_id)
         do update set reason = excluded.reason, received_ts = excluded.received_ts",
        report.kind.as_str(),
        report.reporter.as_str(),
        report.room_id.as_str(),
        report.event_id.as_str(),
        report.user_id.as_str(),
        report.reason.as_str(),
        report.received_ts
    )?;
    Ok(())
}

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
pub(crate) async fn list(db: &Db, wanted: Wanted<'_>) -> Result<Vec<ReportRow>, StoreError> {
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

pub(crate) async fn find(db: &Db, id: i64) -> Result<Option<ReportRow>, StoreError> {
    sql!(
        db.read(),
        fetch_optional as ReportRow,
        "select id, kind, reporter, room_id, event_id, user_id, reason, received_ts from content_reports where id = $1",
        id
    )
}

/// False: there was none.
pub(crate) async fn delete(db: &Db, id: i64) -> Result<bool, StoreError> {
    Ok(exec!(db.write(), "delete from content_reports where id = $1", id)? > 0)
}
