//! `PUT /_matrix/client/*/directory/list/room/{roomId}`
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3directorylistroomroomid>
//! Errors: `M_FORBIDDEN` ← no power to set the canonical alias · `M_NOT_FOUND` ← unknown room

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::{
    directory::set_room_visibility::v3::{Request, Response},
    room::Visibility,
};

use crate::{directory, error::RoomError, service::Room};

#[tracing::instrument(name = "room.http.directory.set_room_visibility", skip_all, fields(room.id = %req.room_id))]
pub(crate) async fn handler(
    State(room): State<Room>,
    Matrix { req, auth, .. }: Matrix<Request, UserAuth>,
) -> Result<Response, RoomError> {
    let published = match req.visibility {
        Visibility::Public => true,
        Visibility::Private => false,
        _ => return Err(RoomError::InvalidParam("`visibility` must be `public` or `private`".to_owned())),
    };
    directory::publish(&room, &auth.user_id, &req.room_id, published).await?;
    Ok(Response::new())
}
