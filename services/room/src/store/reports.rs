//! Table `content_reports`. Administrators read it in the auth service.

use matrixon_store::{Db, StoreError, exec};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NewReport {
    pub(crate) kind: &'static str,
    pub(crate) reporter: String,
    pub(crate) room_id: String,
    pub(crate) event_id: String,
    pub(crate) user_id: String,
    pub(crate) reason: String,
    pub(crate) received_ts: i64,
}

/// The same report again replaces the earlier one.
pub(crate) async fn upsert(db: &Db, report: &NewReport) -> Result<(), StoreError> {
    exec!(
        db.write(),
        "insert into content_reports (kind, reporter, room_id, event_id, user_id, reason, received_ts)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (reporter, kind, room_id, event_id, user_id)
         do update set reason = excluded.reason, received_ts = excluded.received_ts",
        report.kind,
        report.reporter.as_str(),
        report.room_id.as_str(),
        report.event_id.as_str(),
        report.user_id.as_str(),
        report.reason.as_str(),
        report.received_ts
    )?;
    Ok(())
}
