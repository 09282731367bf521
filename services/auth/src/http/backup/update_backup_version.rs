//! `PUT /_matrix/client/*/room_keys/version/{version}` —
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3room_keysversionversion>
//!
//! Errors: `M_NOT_FOUND` ← there is no such version · `M_INVALID_PARAM` ← another algorithm or version than before

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::backup::update_backup_version::v3;

use crate::{
    backup::versions::{self, VersionInfo},
    error::AuthError,
    state::Auth,
};

#[tracing::instrument(name = "auth.http.backup.update_backup_version", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req, auth: requester, .. }: Matrix<v3::Request, UserAuth>,
) -> Result<v3::Response, AuthError> {
    let info = VersionInfo::parse(req.algorithm.json().get())?;
    versions::update(&auth, &requester.user_id, &req.version, &info).await?;
    Ok(v3::Response::new())
}
