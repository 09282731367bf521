//! `POST /_matrix/client/*/delete_devices` —
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3delete_devices>
//!
//! Errors: 401 ← the password is still to be shown · `M_FORBIDDEN` ← the session was made for other devices ·
//! `M_INVALID_PARAM` ← more than 1,000 devices

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::device::delete_devices::v3;

use crate::{
    error::AuthError,
    sessions::end,
    state::Auth,
    uia::{self, Policy, Uia},
};

/// They go in one transaction.
const MAX_DEVICES: usize = 1_000;

#[tracing::instrument(name = "auth.http.device.delete_devices", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req: request, auth: requester, .. }: Matrix<Uia<v3::Request>, UserAuth>,
) -> Result<v3::Response, AuthError> {
    if request.request().is_some_and(|req| req.devices.len() > MAX_DEVICES) {
        return Err(AuthError::InvalidParam(format!("at most {MAX_DEVICES} devices can be deleted at once")));
    }
    let req = uia::authenticate(&auth, request, &Policy::password(&requester.user_id)).await?.req;
    let device_ids: Vec<&str> = req.devices.iter().map(|device_id| device_id.as_str()).collect();
    end::delete_devices(&auth, &requester.user_id, &device_ids).await?;
    Ok(v3::Response::new())
}
