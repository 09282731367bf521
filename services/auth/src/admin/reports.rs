//! What users reported. <https://spec.matrix.org/v1.19/client-server-api/#reporting-content>

use matrixon_http::MatrixError;
use matrixon_proto::admin::v1::{DeleteReportResponse, ListReportsRequest, ListReportsResponse, Report, ReportRequest};

use super::{check_texts, decode_page, encode_page, page_size};
use crate::{
    audit::{self, Caller, Entry},
    error::AuthError,
    outbox::Outbox,
    state::Auth,
    store::reports::{self, ReportRow, Wanted},
};

const KINDS: [&str; 4] = ["", "room", "event", "user"];

pub(crate) async fn list(
    auth: Auth,
    _: Caller,
    request: ListReportsRequest,
) -> Result<ListReportsResponse, MatrixError> {
    let size = page_size(request.page_size);
    check_texts([request.reporter.as_str()])?;
    if !KINDS.contains(&request.kind.as_str()) {
        return Err(MatrixError::invalid_param("`kind` is room, event or user"));
    }
    let before = if request.page_token.is_empty() { i64::MAX } else { decode(&request.page_token)? };
    let wanted = Wanted { kind: &request.kind, reporter: &request.reporter, before, limit: size as i64 + 1 };
    let mut rows = reports::list_reports(&auth.db, wanted).await.map_err(AuthError::from)?;
    let more = rows.len() > size;
    rows.truncate(size);
    let next_page_token = rows.last().filter(|_| more).map(|row| encode_page(&row.id.to_string())).unwrap_or_default();
    Ok(ListReportsResponse { reports: rows.into_iter().map(to_message).collect(), next_page_token })
}

fn decode(page_token: &str) -> Result<i64, AuthError> {
    let id = decode_page(page_token)?.parse();
    id.map_err(|_| AuthError::InvalidParam("this page token is none of ours".to_owned()))
}

pub(crate) async fn get(auth: Auth, _: Caller, request: ReportRequest) -> Result<Report, MatrixError> {
    let row = match request.report.parse() {
        Ok(id) => reports::find_report(&auth.db, id).await.map_err(AuthError::from)?,
        Err(_) => None,
    };
    Ok(row.map(to_message).ok_or(AuthError::UnknownReport)?)
}

pub(crate) async fn delete(
    auth: Auth,
    caller: Caller,
    request: ReportRequest,
) -> Result<DeleteReportResponse, MatrixError> {
    let entry = Entry::new("report.delete", request.report.as_str());
    match remove(&auth, (&caller, &entry), &request.report).await {
        Ok(()) => Ok(DeleteReportResponse {}),
        Err(error) => Err(audit::refused(&auth, (&caller, &entry), error).await),
    }
}

async fn remove(auth: &Auth, record: (&Caller, &Entry), report: &str) -> Result<(), AuthError> {
    let id = report.parse().map_err(|_| AuthError::UnknownReport)?;
    let mut tx = auth.db.begin().await?;
    if audit::is_done(&mut tx, record.0, record.1).await? {
        return Ok(());
    }
    if !reports::delete_report(&mut tx, id).await? {
        return Err(AuthError::UnknownReport);
    }
    audit::commit(auth, tx, record, Outbox::default()).await?;
    Ok(())
}

fn to_message(row: ReportRow) -> Report {
    Report {
        id: row.id.to_string(),
        kind: row.kind,
        reporter: row.reporter,
        room_id: row.room_id,
        event_id: row.event_id,
        user_id: row.user_id,
        reason: row.reason,
        received_ts: row.received_ts,
    }
}
