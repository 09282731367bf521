//! `POST /_matrix/client/*/keys/signatures/upload` —
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keyssignaturesupload>
//!
//! Errors: `M_INVALID_PARAM` ← more than 2,000 keys. What is wrong with single keys is told in `failures`: `M_NOT_FOUND` ←
//! no such device or key · `M_INVALID_SIGNATURE` ← not of the key that is known, not by a key that may sign it, or wrong

use axum::extract::State;
use matrixon_http::{Matrix, RawJson, UserAuth};
use ruma::api::client::keys::upload_signatures::v3;

use crate::{
    error::AuthError,
    http::to_json,
    keys::signatures::{SignedKeys, upload},
    state::Auth,
};

#[tracing::instrument(name = "auth.http.keys.upload_signatures", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { body, auth: requester, .. }: Matrix<v3::Request, UserAuth>,
) -> Result<RawJson, AuthError> {
    let signed: SignedKeys = serde_json::from_slice(&body).map_err(|error| AuthError::BadJson(error.to_string()))?;
    let failures = upload(&auth, &requester.user_id, &signed).await?;
    Ok(RawJson(to_json(&failures.to_json())?))
}
