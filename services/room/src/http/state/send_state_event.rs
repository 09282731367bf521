//! `PUT /_matrix/client/*/rooms/{roomId}/state/{eventType}/{stateKey}`
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidstateeventtypestatekey>
//! Errors: `M_FORBIDDEN` ← the rules reject · `M_BAD_ALIAS` ← a canonical alias that does not lead here · `M_TOO_LARGE`, `M_BAD_JSON`, `M_NOT_FOUND` ← unknown room ·
//! `M_GUEST_ACCESS_FORBIDDEN` ← a guest's membership, in a room that lets no guests in

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use matrixon_matrix::{NewEvent, canonical};
use ruma::{
    api::client::state::send_state_event::v3::{Request, Response},
    events::StateEventType,
};

use crate::{
    error::RoomError,
    membership::check_may_join,
    service::Room,
    timeline::send::{dedupe_by_request, send_state},
};

#[tracing::instrument(name = "room.http.state.send_state_event", skip_all, fields(room.id = %req.room_id))]
pub(crate) async fn handler(
    State(room): State<Room>,
    Matrix { req, auth, meta, .. }: Matrix<Request, UserAuth>,
) -> Result<Response, RoomError> {
    if auth.standing.guest && req.event_type == StateEventType::RoomMember {
        check_may_join(&room, &req.room_id).await?;
    }
    let dedupe = dedupe_by_request(&auth, &meta);
    let content = canonical::parse_content(req.body.json().get().as_bytes())?;
    let event = NewEvent::state(auth.user_id, req.event_type.to_string(), req.state_key, content);
    send_state(&room, &req.room_id, event, dedupe).await.map(Response::new)
}
