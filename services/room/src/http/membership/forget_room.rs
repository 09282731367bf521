//! `POST /_matrix/client/*/rooms/{roomId}/forget`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidforget>
//! Errors: `M_UNKNOWN` (400) ← still in the room

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::membership::forget_room::v3::{Request, Response};

use crate::{error::RoomError, membership::forget, service::Room};

#[tracing::instrument(name = "room.http.membership.forget_room", skip_all, fields(room.id = %req.room_id))]
pub(crate) async fn handler(
    State(room): State<Room>,
    Matrix { req, auth, .. }: Matrix<Request, UserAuth>,
) -> Result<Response, RoomError> {
    forget(&room, &req.room_id, &auth.user_id).await?;
    Ok(Response::new())
}
