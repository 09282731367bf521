//! `GET /_matrix/client/*/rooms/{roomId}/aliases`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidaliases>
//! Errors: `M_FORBIDDEN` ← not in the room, and it is not world readable

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::{
    RoomAliasId,
    api::client::room::aliases::v3::{Request, Response},
};

use crate::{error::RoomError, read::view::View, service::Room, store::aliases};

#[tracing::instrument(name = "room.http.room.aliases", skip_all, fields(room.id = %req.room_id))]
pub(crate) async fn handler(
    State(room): State<Room>,
    Matrix { req, auth, .. }: Matrix<Request, UserAuth>,
) -> Result<Response, RoomError> {
    let view = View::load(&room.db, &req.room_id, &auth.user_id).await?;
    let aliases = aliases::list(&room.db, view.room.id).await?;
    Ok(Response::new(aliases.iter().filter_map(|alias| RoomAliasId::parse(alias.as_str()).ok()).collect()))
}
