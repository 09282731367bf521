//! `GET /_matrix/client/*/initialSync` — <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3initialsync>

use axum::extract::State;
use matrixon_http::{Raw, RawJson, UserAuth};
use serde::Deserialize;

use super::{DEFAULT_LIMIT, query};
use crate::{error::SyncError, old_sync, state::Sync};

#[derive(Deserialize)]
struct Query {
    limit: Option<usize>,
    archived: Option<String>,
}

#[tracing::instrument(name = "sync.http.old_sync.initial_sync", skip_all)]
pub(crate) async fn handler(State(sync): State<Sync>, request: Raw<UserAuth>) -> Result<RawJson, SyncError> {
    let query: Query = query(&request)?;
    let archived = query.archived.is_some_and(|archived| archived == "true" || archived == "1");
    let answer = old_sync::initial(&sync, &request.auth, query.limit.unwrap_or(DEFAULT_LIMIT), archived).await?;
    Ok(RawJson(answer.to_string().into()))
}
