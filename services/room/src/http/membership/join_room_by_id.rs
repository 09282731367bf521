//! `POST /_matrix/client/*/rooms/{roomId}/join`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidjoin>
//! Errors: `M_FORBIDDEN` ← the join rules, or banned · `M_NOT_FOUND` ← unknown room

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::membership::join_room_by_id::v3::{Request, Response};

use crate::{
    error::RoomError,
    membership::{Requester, custom_content, join},
    service::Room,
};

#[tracing::instrument(name = "room.http.membership.join_room_by_id", skip_all, fields(room.id = %req.room_id))]
pub(crate) async fn handler(
    State(room): State<Room>,
    Matrix { req, auth, meta, body }: Matrix<Request, UserAuth>,
) -> Result<Response, RoomError> {
    join(&room, &req.room_id, Requester { auth: &auth, meta: &meta }, custom_content(&body)?).await?;
    Ok(Response::new(req.room_id))
}
