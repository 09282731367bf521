//! `GET /_matrix/client/*/sync` — <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync>
//! Errors: `M_INVALID_PARAM` ← `since` is no token of ours, or of the future; the filter id or the presence is unknown ·
//! `M_BAD_JSON` ← the filter is no filter

use std::sync::Arc;

use axum::extract::State;
use matrixon_http::{Matrix, RawJson, UserAuth};
use ruma::api::client::sync::sync_events;

use crate::{devices, error::SyncError, filters, http::check_presence, poll, state::Sync, streams::Ask};

#[tracing::instrument(name = "sync.http.sync.sync_events", skip_all)]
pub(crate) async fn handler(
    State(sync): State<Sync>,
    Matrix { req, auth, .. }: Matrix<sync_events::v3::Request, UserAuth>,
) -> Result<RawJson, SyncError> {
    check_presence(&req.set_presence)?;
    let since = req.since.as_deref().map(str::parse).transpose().map_err(|_| SyncError::BadToken)?;
    let user_id: Arc<str> = auth.user_id.as_str().into();
    let ask = Ask {
        filter: filters::find(&sync, &user_id, req.filter.as_ref()).await?,
        user_id,
        device_id: auth.device_id.as_str().into(),
        device: devices::number(&sync, &auth).await?,
        since,
        full_state: req.full_state,
        state_after: req.use_state_after,
    };
    poll::sync(&sync, ask, req.timeout.unwrap_or_default()).await.map(RawJson)
}
