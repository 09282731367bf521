//! `PUT /_matrix/client/*/rooms/{roomId}/send/{eventType}/{txnId}`
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidsendeventtypetxnid>
//! Errors: `M_FORBIDDEN` ← the rules reject · `M_TOO_LARGE` ← over 65,535 bytes · `M_BAD_JSON` ← no canonical JSON · `M_NOT_FOUND` ← unknown room ·
//! `M_USER_SUSPENDED` ← a suspended account, except that it may redact its own events

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use matrixon_matrix::{NewEvent, canonical};
use ruma::api::client::message::send_message_event::v3::{Request, Response};

use crate::{
    error::RoomError,
    service::Room,
    timeline::send::{dedupe_by_txn, send_message},
};

#[tracing::instrument(name = "room.http.message.send_message_event", skip_all, fields(room.id = %req.room_id))]
pub(crate) async fn handler(
    State(room): State<Room>,
    Matrix { req, auth, .. }: Matrix<Request, UserAuth>,
) -> Result<Response, RoomError> {
    let dedupe = dedupe_by_txn(&auth, req.txn_id.as_str())?;
    let content = canonical::parse_content(req.body.json().get().as_bytes())?;
    let standing = auth.standing;
    let event = NewEvent::message(auth.user_id, req.event_type.to_string(), content);
    send_message(&room, &req.room_id, event, dedupe, standing).await.map(Response::new)
}
