//! `POST /_matrix/client/*/rooms/{roomId}/receipt/{receiptType}/{eventId}` — <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidreceiptreceipttypeeventid>
//! Errors: `M_FORBIDDEN` ← not in the room · `M_NOT_FOUND` ← no such event there ·
//! `M_INVALID_PARAM` ← unknown receipt type, or a thread where none can be

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::{
    api::client::receipt::create_receipt::{self, v3::ReceiptType},
    events::receipt::ReceiptThread,
};

use crate::{error::SyncError, receipts, state::Sync};

#[tracing::instrument(name = "sync.http.receipt.create_receipt", skip_all, fields(room.id = %req.room_id))]
pub(crate) async fn handler(
    State(sync): State<Sync>,
    Matrix { req, auth, .. }: Matrix<create_receipt::v3::Request, UserAuth>,
) -> Result<create_receipt::v3::Response, SyncError> {
    let thread = match &req.thread {
        ReceiptThread::Unthreaded => "",
        thread => thread.as_str().filter(|thread| !thread.is_empty() && thread.len() <= 255).ok_or(BAD_THREAD)?,
    };
    let room = receipts::enter(&sync, auth.user_id.as_str(), req.room_id.as_str()).await?;
    match req.receipt_type {
        ReceiptType::Read | ReceiptType::ReadPrivate => {
            receipts::read(&sync, &room, req.receipt_type.as_str(), req.event_id.as_str(), thread).await?;
        }
        ReceiptType::FullyRead if thread.is_empty() => {
            receipts::fully_read(&sync, &room, req.event_id.as_str()).await?;
        }
        ReceiptType::FullyRead => return Err(BAD_THREAD),
        _ => return Err(SyncError::InvalidParam("this is not a type of receipt")),
    }
    Ok(create_receipt::v3::Response::new())
}

const BAD_THREAD: SyncError = SyncError::InvalidParam("`thread_id` is not one for this receipt");
