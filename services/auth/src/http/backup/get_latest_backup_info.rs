//! `GET /_matrix/client/*/room_keys/version` —
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3room_keysversion>
//!
//! Errors: `M_NOT_FOUND` ← there is no backup

use axum::extract::State;
use matrixon_http::{Matrix, RawJson, UserAuth};
use ruma::api::client::backup::get_latest_backup_info::v3;

use crate::{backup::versions, error::AuthError, http::to_json, state::Auth};

#[tracing::instrument(name = "auth.http.backup.get_latest_backup_info", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { auth: requester, .. }: Matrix<v3::Request, UserAuth>,
) -> Result<RawJson, AuthError> {
    let row = versions::get_current(&auth, &requester.user_id).await?;
    Ok(RawJson(to_json(&versions::to_json(&row)?)?))
}
