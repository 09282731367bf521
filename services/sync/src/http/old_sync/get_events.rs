//! `GET /_matrix/client/*/events` — <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3events>
//! Errors: `M_INVALID_PARAM` ← `from` is no token of ours, or of the future

use std::time::Duration;

use axum::extract::State;
use matrixon_http::{Raw, RawJson, UserAuth};
use serde::Deserialize;

use super::query;
use crate::{
    error::SyncError,
    old_sync::{self, Stream},
    state::Sync,
};

#[derive(Deserialize)]
struct Query {
    from: Option<String>,
    /// Milliseconds.
    #[serde(default)]
    timeout: u64,
    room_id: Option<String>,
}

#[tracing::instrument(name = "sync.http.old_sync.get_events", skip_all)]
pub(crate) async fn handler(State(sync): State<Sync>, request: Raw<UserAuth>) -> Result<RawJson, SyncError> {
    let query: Query = query(&request)?;
    let from = query.from.as_deref().map(str::parse).transpose().map_err(|_| SyncError::BadToken)?;
    let wanted = Stream { from, timeout: Duration::from_millis(query.timeout), room_id: query.room_id.as_deref() };
    let answer = old_sync::events(&sync, &request.auth, wanted).await?;
    Ok(RawJson(answer.to_string().into()))
}
