//! `GET /_matrix/client/*/rooms/{roomId}/event/{eventId}`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomideventeventid>
//! Errors: `M_NOT_FOUND` ← unknown, or not visible to the requester

use axum::extract::State;
use matrixon_http::{Matrix, RawJson, UserAuth};
use ruma::api::client::room::get_room_event::v3::Request;

use crate::{
    error::RoomError,
    read::{context::find_visible, present::present},
    service::Room,
};

#[tracing::instrument(name = "room.http.room.get_room_event", skip_all, fields(room.id = %req.room_id))]
pub(crate) async fn handler(
    State(room): State<Room>,
    Matrix { req, auth, .. }: Matrix<Request, UserAuth>,
) -> Result<RawJson, RoomError> {
    let (view, row) = find_visible(&room, &auth, &req.room_id, &req.event_id).await?;
    let event = present(&room, &auth, &view, &[row]).await?.pop().unwrap_or_default();
    Ok(RawJson(event.into()))
}
