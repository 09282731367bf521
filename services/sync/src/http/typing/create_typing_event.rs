//! `PUT /_matrix/client/*/rooms/{roomId}/typing/{userId}` — <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidtypinguserid>
//! Errors: `M_FORBIDDEN` ← for another user, or not in the room

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use matrixon_proto::bus::v1::TypingChange;
use ruma::api::client::typing::create_typing_event::{self, v3::Typing};

use crate::{error::SyncError, http::check_own, receipts, state::Sync, typing};

#[tracing::instrument(name = "sync.http.typing.create_typing_event", skip_all, fields(room.id = %req.room_id))]
pub(crate) async fn handler(
    State(sync): State<Sync>,
    Matrix { req, auth, .. }: Matrix<create_typing_event::v3::Request, UserAuth>,
) -> Result<create_typing_event::v3::Response, SyncError> {
    check_own(&auth, &req.user_id)?;
    receipts::enter(&sync, auth.user_id.as_str(), req.room_id.as_str()).await?;
    let now_ms = sync.clock.now_ms();
    let until_ms = match req.state {
        Typing::No => 0,
        Typing::Yes(info) => now_ms + (info.timeout.as_millis() as u64).min(sync.config.max_typing_ms) as i64,
    };
    let change =
        TypingChange { room_id: req.room_id.into(), user_id: req.user_id.into(), until_ms, changed_ms: now_ms };
    typing::announce(&sync.live, &sync.bus, &sync.cache, change).await;
    Ok(create_typing_event::v3::Response::new())
}
