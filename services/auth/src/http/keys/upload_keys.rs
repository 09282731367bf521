//! `POST /_matrix/client/*/keys/upload` —
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysupload>
//!
//! Errors: `M_INVALID_PARAM` ← keys of another user or device, other identity keys, a key id with another value, too many ·
//! `M_INVALID_SIGNATURE` ← not signed by the device · `M_BAD_JSON`, `M_TOO_LARGE` ← a malformed or huge key

use axum::extract::State;
use matrixon_http::{Matrix, RawJson, UserAuth};
use ruma::api::client::keys::upload_keys::v3;
use serde_json::json;

use crate::{
    error::AuthError,
    http::to_json,
    keys::upload::{Upload, upload},
    state::Auth,
};

#[tracing::instrument(name = "auth.http.keys.upload_keys", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { body, auth: requester, .. }: Matrix<v3::Request, UserAuth>,
) -> Result<RawJson, AuthError> {
    // of the body itself: it knows the order of the keys
    let counts = upload(&auth, &requester.user_id, &requester.device_id, Upload::parse(&body)?).await?;
    Ok(RawJson(to_json(&json!({ "one_time_key_counts": counts }))?))
}
