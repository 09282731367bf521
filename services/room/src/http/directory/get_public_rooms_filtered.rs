//! `POST /_matrix/client/*/publicRooms`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3publicrooms>
//! Errors: `M_INVALID_PARAM` ← `since` is no token of this server · `M_NOT_FOUND` ← another server's directory

use axum::extract::State;
use matrixon_http::{Matrix, RawJson, UserAuth};
use ruma::api::client::directory::get_public_rooms_filtered::v3::Request;

use crate::{
    directory::{Query, list},
    error::RoomError,
    service::Room,
};

#[tracing::instrument(name = "room.http.directory.get_public_rooms_filtered", skip_all)]
pub(crate) async fn handler(
    State(room): State<Room>,
    Matrix { req, .. }: Matrix<Request, UserAuth>,
) -> Result<RawJson, RoomError> {
    let room_types: Vec<Option<String>> =
        req.filter.room_types.iter().map(|kind| kind.as_str().map(str::to_owned)).collect();
    let query = Query {
        limit: req.limit.map(u64::from),
        since: req.since.as_deref(),
        server: req.server.as_deref(),
        search: req.filter.generic_search_term.as_deref(),
        room_types: (!room_types.is_empty()).then_some(&room_types),
    };
    list(&room, query).await.map(RawJson)
}
