//! `POST /_matrix/client/*/rooms/{roomId}/read_markers` — <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidread_markers>
//! Errors: `M_FORBIDDEN` ← not in the room · `M_NOT_FOUND` ← no such event there

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::read_marker::set_read_marker;

use crate::{error::SyncError, receipts, state::Sync};

#[tracing::instrument(name = "sync.http.receipt.set_read_marker", skip_all, fields(room.id = %req.room_id))]
pub(crate) async fn handler(
    State(sync): State<Sync>,
    Matrix { req, auth, .. }: Matrix<set_read_marker::v3::Request, UserAuth>,
) -> Result<set_read_marker::v3::Response, SyncError> {
    let room = receipts::enter(&sync, auth.user_id.as_str(), req.room_id.as_str()).await?;
    if let Some(event_id) = &req.fully_read {
        receipts::fully_read(&sync, &room, event_id.as_str()).await?;
    }
    for (receipt_type, event_id) in [("m.read", &req.read_receipt), ("m.read.private", &req.private_read_receipt)] {
        if let Some(event_id) = event_id {
            receipts::read(&sync, &room, receipt_type, event_id.as_str(), "").await?;
        }
    }
    Ok(set_read_marker::v3::Response::new())
}
