//! `GET /_matrix/client/*/publicRooms`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3publicrooms>
//! Errors: `M_INVALID_PARAM` ← `since` is no token of this server · `M_NOT_FOUND` ← another server's directory

use axum::extract::State;
use matrixon_http::{Matrix, NoAuth, RawJson};
use ruma::api::client::directory::get_public_rooms::v3::Request;

use crate::{
    directory::{Query, list},
    error::RoomError,
    service::Room,
};

#[tracing::instrument(name = "room.http.directory.get_public_rooms", skip_all)]
pub(crate) async fn handler(
    State(room): State<Room>,
    Matrix { req, .. }: Matrix<Request, NoAuth>,
) -> Result<RawJson, RoomError> {
    let query = Query {
        limit: req.limit.map(u64::from),
        since: req.since.as_deref(),
        server: req.server.as_deref(),
        search: None,
        room_types: None,
    };
    list(&room, query).await.map(RawJson)
}
