//! `POST /_matrix/client/*/rooms/{roomId}/unban`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidunban>
//! Errors: `M_FORBIDDEN` ← no power to unban, or the target is not banned

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::membership::unban_user::v3::{Request, Response};

use crate::{
    error::RoomError,
    membership::{Requester, Target, unban},
    service::Room,
};

#[tracing::instrument(name = "room.http.membership.unban_user", skip_all, fields(room.id = %req.room_id))]
pub(crate) async fn handler(
    State(room): State<Room>,
    Matrix { req, auth, meta, .. }: Matrix<Request, UserAuth>,
) -> Result<Response, RoomError> {
    let target = Target { user_id: req.user_id, reason: req.reason };
    unban(&room, &req.room_id, Requester { auth: &auth, meta: &meta }, target).await?;
    Ok(Response::new())
}
