//! `DELETE /_matrix/client/*/devices/{deviceId}` —
//! <https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3devicesdeviceid>
//!
//! Errors: 401 ← the password is still to be shown · `M_FORBIDDEN` ← the session was made for another device

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::device::delete_device::v3;

use crate::{
    error::AuthError,
    sessions::end,
    state::Auth,
    uia::{self, Policy, Uia},
};

#[tracing::instrument(name = "auth.http.device.delete_device", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req: request, auth: requester, .. }: Matrix<Uia<v3::Request>, UserAuth>,
) -> Result<v3::Response, AuthError> {
    let req = uia::authenticate(&auth, request, &Policy::password(&requester.user_id)).await?.req;
    end::delete_devices(&auth, &requester.user_id, &[req.device_id.as_str()]).await?;
    Ok(v3::Response::new())
}
