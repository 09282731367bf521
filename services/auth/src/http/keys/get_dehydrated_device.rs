//! `GET /_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device` —
//! MSC3814, <https://github.com/matrix-org/matrix-spec-proposals/pull/3814>
//!
//! Errors: `M_NOT_FOUND` ← there is none

use axum::extract::State;
use matrixon_http::{Raw, RawJson, UserAuth};

use crate::{error::AuthError, keys::dehydrated, state::Auth};

#[tracing::instrument(name = "auth.http.keys.get_dehydrated_device", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Raw { auth: requester, .. }: Raw<UserAuth>,
) -> Result<RawJson, AuthError> {
    let row = dehydrated::get(&auth, &requester.user_id).await?;
    let device_id = serde_json::Value::from(row.device_id);
    Ok(RawJson(format!(r#"{{"device_id":{device_id},"device_data":{}}}"#, row.device_data).into()))
}
