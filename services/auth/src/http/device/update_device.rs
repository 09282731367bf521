//! `PUT /_matrix/client/*/devices/{deviceId}` —
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3devicesdeviceid>
//!
//! Errors: `M_NOT_FOUND` ← the requester has no such device · `M_TOO_LARGE` ← a name over 100 characters

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::device::update_device::v3;

use crate::{
    error::AuthError,
    sessions::{devices::rename, start::check_display_name},
    state::Auth,
    store::devices,
};

#[tracing::instrument(name = "auth.http.device.update_device", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req, auth: requester, .. }: Matrix<v3::Request, UserAuth>,
) -> Result<v3::Response, AuthError> {
    let name = req.display_name.as_deref();
    check_display_name(name)?;
    let (user_id, device_id) = (requester.user_id.as_str(), req.device_id.as_str());
    let found = match name {
        // "if not given, the name is unchanged"
        None => devices::find_device(&auth.db, user_id, device_id).await?.is_some(),
        Some(name) => rename(&auth, &requester.user_id, device_id, name).await?,
    };
    if !found {
        return Err(AuthError::UnknownDevice);
    }
    Ok(v3::Response::new())
}
