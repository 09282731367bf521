//! `PUT /_matrix/client/*/directory/room/{roomAlias}`
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3directoryroomroomalias>
//! Errors: `M_UNKNOWN` (409) ← the alias is taken · `M_FORBIDDEN` ← not in the room · `M_INVALID_PARAM` ← an alias of another server

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::alias::create_alias::v3::{Request, Response};

use crate::{aliases, error::RoomError, membership::Requester, service::Room};

#[tracing::instrument(name = "room.http.alias.create_alias", skip_all, fields(room.id = %req.room_id))]
pub(crate) async fn handler(
    State(room): State<Room>,
    Matrix { req, auth, meta, .. }: Matrix<Request, UserAuth>,
) -> Result<Response, RoomError> {
    aliases::create(&room, Requester { auth: &auth, meta: &meta }, &req.room_alias, &req.room_id).await?;
    Ok(Response::new())
}
