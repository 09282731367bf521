//! `GET /_matrix/client/*/keys/changes` — <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3keyschanges>
//! Errors: `M_INVALID_PARAM` ← `from` or `to` is no token of ours, or `from` is of the future

use axum::extract::State;
use matrixon_http::{Matrix, RawJson, UserAuth};
use ruma::api::client::keys::get_key_changes;

use crate::{device_lists, error::SyncError, response, state::Sync, token::Token};

#[tracing::instrument(name = "sync.http.keys.get_key_changes", skip_all)]
pub(crate) async fn handler(
    State(sync): State<Sync>,
    Matrix { req, auth, .. }: Matrix<get_key_changes::v3::Request, UserAuth>,
) -> Result<RawJson, SyncError> {
    let parse = |text: &str| text.parse::<Token>().map_err(|_| SyncError::BadToken);
    let (from, to) = (parse(&req.from)?, parse(&req.to)?);
    let lists = device_lists::changes(&sync, auth.user_id.as_str(), from, to).await?;
    Ok(RawJson(response::render_changes(&lists)))
}
