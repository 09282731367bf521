//! `DELETE /_matrix/client/*/room_keys/version/{version}` —
//! <https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3room_keysversionversion>
//!
//! Errors: `M_NOT_FOUND` ← there never was such a version

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::backup::delete_backup_version::v3;

use crate::{backup::versions, error::AuthError, state::Auth};

#[tracing::instrument(name = "auth.http.backup.delete_backup_version", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req, auth: requester, .. }: Matrix<v3::Request, UserAuth>,
) -> Result<v3::Response, AuthError> {
    versions::delete(&auth, &requester.user_id, &req.version).await?;
    Ok(v3::Response::new())
}
