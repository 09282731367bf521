//! `GET /_matrix/client/*/devices/{deviceId}` —
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3devicesdeviceid>
//!
//! Errors: `M_NOT_FOUND` ← the requester has no such device

use axum::extract::State;
use matrixon_http::{Matrix, RawJson, UserAuth};
use ruma::api::client::device::get_device::v3;

use crate::{error::AuthError, http::to_json, sessions::devices::DeviceAnswer, state::Auth, store::devices};

#[tracing::instrument(name = "auth.http.device.get_device", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req, auth: requester, .. }: Matrix<v3::Request, UserAuth>,
) -> Result<RawJson, AuthError> {
    let row = devices::find_device(&auth.db, requester.user_id.as_str(), req.device_id.as_str()).await?;
    let device = DeviceAnswer::from(row.ok_or(AuthError::UnknownDevice)?);
    Ok(RawJson(to_json(&device)?))
}
