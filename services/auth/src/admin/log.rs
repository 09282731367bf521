//! Reading the audit log. Reading it leaves no record in it.

use matrixon_http::MatrixError;
use matrixon_proto::admin::v1::{AuditHead, AuditHeadRequest, ListAuditRequest, ListAuditResponse};

use super::{check_texts, page_size};
use crate::{
    audit::{Caller, chain::to_hex, to_message},
    error::AuthError,
    state::Auth,
    store::audit::{self, Wanted},
};

pub(crate) async fn list(auth: Auth, _: Caller, request: ListAuditRequest) -> Result<ListAuditResponse, MatrixError> {
    let size = page_size(request.page_size);
    check_texts([request.actor.as_str(), &request.action, &request.target])?;
    let wanted = Wanted {
        after_seq: request.after_seq.max(0),
        newest_first: request.newest_first,
        actor: request.actor,
        action: request.action,
        target: request.target,
    };
    let mut rows = audit::list_records(&auth.db, &wanted, size as i64 + 1).await.map_err(AuthError::from)?;
    let more = rows.len() > size;
    rows.truncate(size);
    let next_after_seq = rows.last().filter(|_| more).map_or(0, |row| row.seq);
    Ok(ListAuditResponse { records: rows.iter().map(to_message).collect(), next_after_seq })
}

pub(crate) async fn head(auth: Auth, _: Caller, _: AuditHeadRequest) -> Result<AuditHead, MatrixError> {
    let (seq, hash) = audit::find_head(&auth.db).await.map_err(AuthError::from)?;
    Ok(AuditHead { seq, hash: to_hex(&hash) })
}
