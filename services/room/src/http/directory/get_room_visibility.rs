//! `GET /_matrix/client/*/directory/list/room/{roomId}`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3directorylistroomroomid>
//! Errors: `M_NOT_FOUND` ← unknown room

use axum::extract::State;
use matrixon_http::{Matrix, NoAuth};
use ruma::api::client::{
    directory::get_room_visibility::v3::{Request, Response},
    room::Visibility,
};

use crate::{directory, error::RoomError, service::Room};

#[tracing::instrument(name = "room.http.directory.get_room_visibility", skip_all, fields(room.id = %req.room_id))]
pub(crate) async fn handler(
    State(room): State<Room>,
    Matrix { req, .. }: Matrix<Request, NoAuth>,
) -> Result<Response, RoomError> {
    let published = directory::is_published(&room, &req.room_id).await?;
    Ok(Response::new(if published { Visibility::Public } else { Visibility::Private }))
}
