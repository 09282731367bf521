//! `GET /_matrix/client/*/directory/room/{roomAlias}`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3directoryroomroomalias>
//! Errors: `M_NOT_FOUND` ← no such alias, or one of another server

use axum::extract::State;
use matrixon_http::{Matrix, NoAuth};
use ruma::api::client::alias::get_alias::v3::{Request, Response};

use crate::{error::RoomError, membership::resolve, service::Room};

#[tracing::instrument(name = "room.http.alias.get_alias", skip_all)]
pub(crate) async fn handler(
    State(room): State<Room>,
    Matrix { req, .. }: Matrix<Request, NoAuth>,
) -> Result<Response, RoomError> {
    let room_id = resolve(&room, req.room_alias.into()).await?;
    Ok(Response::new(room_id, vec![room.signer.server_name.clone()]))
}
