//! `POST /_matrix/client/*/join/{roomIdOrAlias}`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3joinroomidoralias>
//! Errors: `M_FORBIDDEN` ← the join rules, or banned · `M_NOT_FOUND` ← unknown room or alias

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::membership::join_room_by_id_or_alias::v3::{Request, Response};

use crate::{
    error::RoomError,
    membership::{Requester, custom_content, join, resolve},
    service::Room,
};

#[tracing::instrument(name = "room.http.membership.join_room_by_id_or_alias", skip_all)]
pub(crate) async fn handler(
    State(room): State<Room>,
    Matrix { req, auth, meta, body }: Matrix<Request, UserAuth>,
) -> Result<Response, RoomError> {
    let room_id = resolve(&room, req.room_id_or_alias).await?;
    join(&room, &room_id, Requester { auth: &auth, meta: &meta }, custom_content(&body)?).await?;
    Ok(Response::new(room_id))
}
