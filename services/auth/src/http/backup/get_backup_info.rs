//! `GET /_matrix/client/*/room_keys/version/{version}` —
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3room_keysversionversion>
//!
//! Errors: `M_NOT_FOUND` ← there is no such version

use axum::extract::State;
use matrixon_http::{Matrix, RawJson, UserAuth};
use ruma::api::client::backup::get_backup_info::v3;

use crate::{backup::versions, error::AuthError, http::to_json, state::Auth};

#[tracing::instrument(name = "auth.http.backup.get_backup_info", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req, auth: requester, .. }: Matrix<v3::Request, UserAuth>,
) -> Result<RawJson, AuthError> {
    let row = versions::get(&auth, &requester.user_id, &req.version).await?;
    Ok(RawJson(to_json(&versions::to_json(&row)?)?))
}
