//! `GET /_matrix/client/*/rooms/{roomId}/state`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidstate>
//! Errors: `M_FORBIDDEN` ← never in the room, and it is not world readable

use axum::extract::State;
use matrixon_http::{Matrix, RawJson, UserAuth};
use ruma::api::client::state::get_state_events::v3::Request;

use crate::{
    error::RoomError,
    read::{
        present::{array, present},
        view::View,
    },
    service::Room,
};

#[tracing::instrument(name = "room.http.state.get_state_events", skip_all, fields(room.id = %req.room_id))]
pub(crate) async fn handler(
    State(room): State<Room>,
    Matrix { req, auth, .. }: Matrix<Request, UserAuth>,
) -> Result<RawJson, RoomError> {
    let view = View::load(&room.db, &req.room_id, &auth.user_id).await?;
    let state = view.state(&room.db).await?;
    Ok(RawJson(array(&present(&room, &auth, &view, &state).await?).into()))
}
