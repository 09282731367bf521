//! `POST /_matrix/client/*/knock/{roomIdOrAlias}`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3knockroomidoralias>
//! Errors: `M_FORBIDDEN` ← the room takes no knocks, or the requester is in it or banned · `M_NOT_FOUND` ← unknown room or alias

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::knock::knock_room::v3::{Request, Response};

use crate::{
    error::RoomError,
    membership::{Requester, knock, resolve},
    service::Room,
};

#[tracing::instrument(name = "room.http.knock.knock_room", skip_all)]
pub(crate) async fn handler(
    State(room): State<Room>,
    Matrix { req, auth, meta, .. }: Matrix<Request, UserAuth>,
) -> Result<Response, RoomError> {
    let room_id = resolve(&room, req.room_id_or_alias).await?;
    knock(&room, &room_id, Requester { auth: &auth, meta: &meta }, req.reason).await?;
    Ok(Response::new(room_id))
}
