//! `GET /_matrix/client/*/rooms/{roomId}/state/{eventType}/{stateKey}`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidstateeventtypestatekey>
//! Errors: `M_NOT_FOUND` ← no such state · `M_FORBIDDEN` ← never in the room, and it is not world readable

use axum::extract::State;
use matrixon_http::{Matrix, RawJson, UserAuth};
use matrixon_rooms::events::content_of;
use ruma::api::client::state::get_state_event_for_key::v3::{Request, StateEventFormat};

use crate::{
    error::RoomError,
    read::{present::present, view::View},
    service::Room,
};

#[tracing::instrument(name = "room.http.state.get_state_event_for_key", skip_all, fields(room.id = %req.room_id))]
pub(crate) async fn handler(
    State(room): State<Room>,
    Matrix { req, auth, .. }: Matrix<Request, UserAuth>,
) -> Result<RawJson, RoomError> {
    let view = View::load(&room.db, &req.room_id, &auth.user_id).await?;
    let row = view.find_state(&room.db, &req.event_type.to_string(), &req.state_key).await?;
    let row = row.ok_or_else(|| RoomError::NotFound("the room has no such state".to_owned()))?;
    if req.format == StateEventFormat::Event {
        let event = present(&room, &auth, &view, &[row]).await?.pop().unwrap_or_default();
        return Ok(RawJson(event.into()));
    }
    let content = content_of(&row.json).unwrap_or("{}");
    Ok(RawJson(content.to_owned().into()))
}
