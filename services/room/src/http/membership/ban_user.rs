//! `POST /_matrix/client/*/rooms/{roomId}/ban`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidban>
//! Errors: `M_FORBIDDEN` ← no power over the target

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::membership::ban_user::v3::{Request, Response};

use crate::{
    error::RoomError,
    membership::{Requester, Target, ban},
    service::Room,
};

#[tracing::instrument(name = "room.http.membership.ban_user", skip_all, fields(room.id = %req.room_id))]
pub(crate) async fn handler(
    State(room): State<Room>,
    Matrix { req, auth, meta, .. }: Matrix<Request, UserAuth>,
) -> Result<Response, RoomError> {
    let target = Target { user_id: req.user_id, reason: req.reason };
    ban(&room, &req.room_id, Requester { auth: &auth, meta: &meta }, target).await?;
    Ok(Response::new())
}
