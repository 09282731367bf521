//! `GET /_matrix/client/*/events/{eventId}`, deprecated since r0
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3eventseventid>
//! Errors: `M_NOT_FOUND` ← unknown, or not visible to the requester

use axum::extract::State;
use matrixon_http::{Raw, RawJson, UserAuth};
use matrixon_rooms::{events::find_event, rooms::load_rooms};
use ruma::{EventId, RoomId};

use crate::{
    error::RoomError,
    read::{
        context::{find_visible, not_found},
        present::present,
    },
    service::Room,
};

#[tracing::instrument(name = "room.http.room.get_one_event", skip_all)]
pub(crate) async fn handler(State(room): State<Room>, request: Raw<UserAuth>) -> Result<RawJson, RoomError> {
    let event_id = request.path_args.first().and_then(|id| <&EventId>::try_from(id.as_str()).ok());
    let event_id = event_id.ok_or_else(not_found)?;
    let row = find_event(&room.db, event_id.as_str()).await?.ok_or_else(not_found)?;
    let of_event = load_rooms(&room.db, &[row.room]).await?;
    let room_id = of_event.first().and_then(|found| <&RoomId>::try_from(found.room_id.as_str()).ok());
    let (view, row) = find_visible(&room, &request.auth, room_id.ok_or_else(not_found)?, event_id).await?;
    let event = present(&room, &request.auth, &view, &[row]).await?.pop().unwrap_or_default();
    Ok(RawJson(event.into()))
}
