//! `GET /_matrix/client/*/rooms/{roomId}/context/{eventId}`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidcontexteventid>
//! Errors: `M_FORBIDDEN` ← not visible to the requester · `M_NOT_FOUND` ← unknown

use axum::extract::State;
use matrixon_http::{Matrix, RawJson, UserAuth};
use ruma::api::client::context::get_context::v3::Request;

use crate::{error::RoomError, read::context::context, service::Room};

#[tracing::instrument(name = "room.http.context.get_context", skip_all, fields(room.id = %req.room_id))]
pub(crate) async fn handler(
    State(room): State<Room>,
    Matrix { req, auth, .. }: Matrix<Request, UserAuth>,
) -> Result<RawJson, RoomError> {
    context(&room, &auth, &req.room_id, &req.event_id, req.limit.into(), &req.filter).await.map(RawJson)
}
