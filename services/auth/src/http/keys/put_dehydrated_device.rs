//! `PUT /_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device` —
//! MSC3814, <https://github.com/matrix-org/matrix-spec-proposals/pull/3814>
//!
//! Errors: `M_INVALID_PARAM` ← the id of another device, and what refuses keys in `/keys/upload`

use axum::extract::State;
use matrixon_http::{Raw, RawJson, UserAuth};
use serde_json::json;

use crate::{
    error::AuthError,
    http::to_json,
    keys::dehydrated::{NewDehydratedDevice, put},
    state::Auth,
};

#[tracing::instrument(name = "auth.http.keys.put_dehydrated_device", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Raw { body, auth: requester, .. }: Raw<UserAuth>,
) -> Result<RawJson, AuthError> {
    let device_id = put(&auth, &requester.user_id, NewDehydratedDevice::parse(&body)?).await?;
    Ok(RawJson(to_json(&json!({ "device_id": device_id }))?))
}
