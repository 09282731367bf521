//! `GET /_matrix/client/*/rooms/{roomId}/initialSync` — <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidinitialsync>
//! Errors: `M_FORBIDDEN` ← not in the room and not one who left it (rooms are not shown to others this way)

use axum::extract::State;
use matrixon_http::{Raw, RawJson, UserAuth};
use serde::Deserialize;

use super::{DEFAULT_LIMIT, query};
use crate::{error::SyncError, old_sync, state::Sync};

#[derive(Deserialize)]
struct Query {
    limit: Option<usize>,
}

#[tracing::instrument(name = "sync.http.old_sync.room_initial_sync", skip_all)]
pub(crate) async fn handler(State(sync): State<Sync>, request: Raw<UserAuth>) -> Result<RawJson, SyncError> {
    let query: Query = query(&request)?;
    let [room_id] = &request.path_args[..] else {
        return Err(SyncError::InvalidParam("the path names a room"));
    };
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    let answer = old_sync::initial_of_room(&sync, &request.auth, room_id, limit).await?;
    Ok(RawJson(answer.to_string().into()))
}
