//! `POST /_matrix/client/*/account/3pid/add` —
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3account3pidadd>
//!
//! Errors: 401 ← the password is still to be shown · `M_THREEPID_AUTH_FAILED` ← the address is not confirmed, or the
//! confirmation has been used · `M_THREEPID_IN_USE` ← another account has it

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::account::add_3pid::v3;

use crate::{
    error::AuthError,
    state::Auth,
    threepids::{Credentials, add::add},
    uia::{self, Policy, Uia},
};

#[tracing::instrument(name = "auth.http.threepid.add_3pid", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req: request, auth: requester, meta, .. }: Matrix<Uia<v3::Request>, UserAuth>,
) -> Result<v3::Response, AuthError> {
    let req = uia::authenticate(&auth, request, &Policy::password(&requester.user_id)).await?.req;
    let creds = Credentials { sid: req.sid.to_string(), client_secret: req.client_secret.to_string() };
    add(&auth, &requester.user_id, &creds, &meta).await?;
    Ok(v3::Response::new())
}
