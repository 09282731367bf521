//! `POST /_matrix/client/*/account/password` —
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountpassword>
//!
//! Errors: 401 ← the old password is still to be shown · `M_WEAK_PASSWORD` ← too short · `M_INVALID_PARAM` ← over
//! 512 bytes

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::account::change_password::v3;

use crate::{
    accounts::change_password::{Keep, change_password},
    error::AuthError,
    state::Auth,
    uia::{self, Policy, Uia},
};

#[tracing::instrument(name = "auth.http.account.change_password", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req: request, auth: requester, .. }: Matrix<Uia<v3::Request>, UserAuth>,
) -> Result<v3::Response, AuthError> {
    if let Some(req) = request.request() {
        auth.passwords.check_new(&req.new_password)?;
    }
    let req = uia::authenticate(&auth, request, &Policy::password(&requester.user_id)).await?.req;
    let keep = if req.logout_devices { Keep::Only(&requester.device_id) } else { Keep::All };
    change_password(&auth, &requester.user_id, req.new_password, keep).await?;
    Ok(v3::Response::new())
}
