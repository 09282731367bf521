//! `DELETE /_matrix/client/*/directory/room/{roomAlias}`
//! <https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3directoryroomroomalias>
//! Errors: `M_NOT_FOUND` ← no such alias here · `M_FORBIDDEN` ← neither its maker nor the power to set the canonical alias

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::alias::delete_alias::v3::{Request, Response};

use crate::{aliases, error::RoomError, service::Room};

#[tracing::instrument(name = "room.http.alias.delete_alias", skip_all)]
pub(crate) async fn handler(
    State(room): State<Room>,
    Matrix { req, auth, .. }: Matrix<Request, UserAuth>,
) -> Result<Response, RoomError> {
    aliases::delete(&room, &auth.user_id, &req.room_alias).await?;
    Ok(Response::new())
}
