//! `POST /_matrix/client/*/createRoom`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom>
//! Errors: `M_ROOM_IN_USE` ← alias taken · `M_INVALID_ROOM_STATE` ← the rules reject what is asked for · `M_UNSUPPORTED_ROOM_VERSION` · `M_THREEPID_DENIED` ← `invite_3pid`

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::room::create_room::v3::{Request, Response};

use crate::{create, error::RoomError, service::Room};

#[tracing::instrument(name = "room.http.room.create_room", skip_all)]
pub(crate) async fn handler(
    State(room): State<Room>,
    Matrix { req, auth, meta, .. }: Matrix<Request, UserAuth>,
) -> Result<Response, RoomError> {
    create::create_room(&room, &auth, &meta, req).await.map(Response::new)
}
