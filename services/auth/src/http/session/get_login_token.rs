//! `POST /_matrix/client/*/login/get_token` —
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv1loginget_token>
//!
//! Errors: 401 ← the password is still to be shown · `M_FORBIDDEN` ← the session was made for something else

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::session::get_login_token::v1;

use crate::{
    error::AuthError,
    sessions::login_tokens::create_login_token,
    state::Auth,
    uia::{self, Policy, Uia},
};

#[tracing::instrument(name = "auth.http.session.get_login_token", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req: request, auth: requester, .. }: Matrix<Uia<v1::Request>, UserAuth>,
) -> Result<v1::Response, AuthError> {
    uia::authenticate(&auth, request, &Policy::password(&requester.user_id)).await?;
    let token = create_login_token(&auth, &requester.user_id).await?;
    Ok(v1::Response::new(token.expires_in, token.text))
}
