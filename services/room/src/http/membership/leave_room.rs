//! `POST /_matrix/client/*/rooms/{roomId}/leave`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidleave>
//! Errors: `M_FORBIDDEN` ← neither joined nor invited nor knocking · `M_NOT_FOUND` ← unknown room

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::membership::leave_room::v3::{Request, Response};

use crate::{
    error::RoomError,
    membership::{Requester, leave},
    service::Room,
};

#[tracing::instrument(name = "room.http.membership.leave_room", skip_all, fields(room.id = %req.room_id))]
pub(crate) async fn handler(
    State(room): State<Room>,
    Matrix { req, auth, meta, .. }: Matrix<Request, UserAuth>,
) -> Result<Response, RoomError> {
    leave(&room, &req.room_id, Requester { auth: &auth, meta: &meta }, req.reason).await?;
    Ok(Response::new())
}
