//! `PUT /_matrix/client/*/rooms/{roomId}/typing/{userId}` — <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidtypinguserid>
//! Errors: `M_FORBIDDEN` ← for another user, or not in the room · `M_BAD_JSON` ← `typing` is missing

use axum::extract::State;
use matrixon_http::{Raw, RawJson, UserAuth};
use matrixon_proto::bus::v1::TypingChange;
use serde::Deserialize;

use crate::{error::SyncError, receipts, state::Sync, typing};

/// By hand: ruma insists on `timeout`, which the specification leaves to the client.
pub(crate) const PATHS: [&str; 2] =
    ["/_matrix/client/v3/rooms/{room_id}/typing/{user_id}", "/_matrix/client/r0/rooms/{room_id}/typing/{user_id}"];

const DEFAULT_MS: u64 = 30_000;

#[derive(Deserialize)]
struct Body {
    typing: bool,
    timeout: Option<u64>,
}

#[tracing::instrument(name = "sync.http.typing.create_typing_event", skip_all)]
pub(crate) async fn handler(State(sync): State<Sync>, request: Raw<UserAuth>) -> Result<RawJson, SyncError> {
    let [room_id, user_id] = &request.path_args[..] else {
        return Err(SyncError::InvalidParam("the path names a room and a user"));
    };
    if request.auth.user_id.as_str() != user_id {
        return Err(SyncError::Forbidden("this belongs to another user"));
    }
    let body: Body = serde_json::from_slice(&request.body)
        .map_err(|error| SyncError::BadJson(format!("not a typing notice: {error}")))?;
    receipts::enter(&sync, user_id, room_id).await?;
    let now_ms = sync.clock.now_ms();
    let lasts_ms = body.timeout.unwrap_or(DEFAULT_MS).min(sync.config.max_typing_ms) as i64;
    let change = TypingChange {
        room_id: room_id.clone(),
        user_id: user_id.clone(),
        until_ms: if body.typing { now_ms + lasts_ms } else { 0 },
        changed_ms: now_ms,
    };
    typing::announce(&sync.live, &sync.bus, &sync.cache, change).await;
    Ok(RawJson("{}".into()))
}
