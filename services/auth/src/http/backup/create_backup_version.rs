//! `POST /_matrix/client/*/room_keys/version` —
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3room_keysversion>
//!
//! Errors: `M_BAD_JSON` ← a member is missing or of a wrong type · `M_TOO_LARGE` ← too much of it

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::backup::create_backup_version::v3;

use crate::{
    backup::versions::{self, VersionInfo},
    error::AuthError,
    state::Auth,
};

#[tracing::instrument(name = "auth.http.backup.create_backup_version", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req, auth: requester, meta, .. }: Matrix<v3::Request, UserAuth>,
) -> Result<v3::Response, AuthError> {
    let info = VersionInfo::parse(req.algorithm.json().get())?;
    let version = versions::create(&auth, &requester.user_id, &info, &meta.idempotency_key).await?;
    Ok(v3::Response::new(version.to_string()))
}
