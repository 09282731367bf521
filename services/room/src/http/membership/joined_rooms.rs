//! `GET /_matrix/client/*/joined_rooms`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3joined_rooms>

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use matrixon_rooms::{Membership, members};
use ruma::{
    RoomId,
    api::client::membership::joined_rooms::v3::{Request, Response},
};

use crate::{error::RoomError, service::Room};

#[tracing::instrument(name = "room.http.membership.joined_rooms", skip_all)]
pub(crate) async fn handler(
    State(room): State<Room>,
    Matrix { auth, .. }: Matrix<Request, UserAuth>,
) -> Result<Response, RoomError> {
    let rows = members::list_for_user(&room.db, auth.user_id.as_str()).await?;
    let joined = rows.into_iter().filter(|row| row.kind() == Membership::Join);
    Ok(Response::new(joined.filter_map(|row| RoomId::parse(row.room_id).ok()).collect()))
}
