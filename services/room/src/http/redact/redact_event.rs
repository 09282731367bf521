//! `PUT /_matrix/client/*/rooms/{roomId}/redact/{eventId}/{txnId}`
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidredacteventidtxnid>
//! Errors: `M_FORBIDDEN` ← neither one's own event nor the power to redact others' · `M_NOT_FOUND` ← unknown event or room ·
//! `M_USER_SUSPENDED` ← a suspended account, and not its own event

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use matrixon_matrix::NewEvent;
use ruma::api::client::redact::redact_event::v3::{Request, Response};

use crate::{
    error::RoomError,
    service::Room,
    timeline::{redact, send::dedupe_redaction},
};

#[tracing::instrument(name = "room.http.redact.redact_event", skip_all, fields(room.id = %req.room_id))]
pub(crate) async fn handler(
    State(room): State<Room>,
    Matrix { req, auth, .. }: Matrix<Request, UserAuth>,
) -> Result<Response, RoomError> {
    let dedupe = dedupe_redaction(&auth, &req.event_id, req.txn_id.as_str())?;
    let standing = auth.standing;
    let event = NewEvent::redaction(auth.user_id, req.event_id, req.reason);
    redact::redact_event(&room, &req.room_id, event, dedupe, standing).await.map(Response::new)
}
