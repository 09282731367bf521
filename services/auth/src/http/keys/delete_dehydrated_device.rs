//! `DELETE /_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device` —
//! MSC3814, <https://github.com/matrix-org/matrix-spec-proposals/pull/3814>
//!
//! Errors: `M_NOT_FOUND` ← there is none

use axum::extract::State;
use matrixon_http::{Raw, RawJson, UserAuth};
use serde_json::json;

use crate::{error::AuthError, http::to_json, keys::dehydrated, state::Auth};

#[tracing::instrument(name = "auth.http.keys.delete_dehydrated_device", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Raw { auth: requester, .. }: Raw<UserAuth>,
) -> Result<RawJson, AuthError> {
    let device_id = dehydrated::delete(&auth, &requester.user_id).await?;
    Ok(RawJson(to_json(&json!({ "device_id": device_id }))?))
}
