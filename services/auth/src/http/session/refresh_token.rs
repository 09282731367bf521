//! `POST /_matrix/client/*/refresh` — <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3refresh>
//!
//! Errors: `M_UNKNOWN_TOKEN` ← nobody has this refresh token, or what replaced it is in use (then its
//! session ends) · `M_USER_LOCKED` ← the account is locked

use axum::extract::State;
use matrixon_http::{Matrix, NoAuth};
use ruma::api::client::session::refresh_token::v3;

use crate::{error::AuthError, sessions::refresh::refresh, state::Auth};

#[tracing::instrument(name = "auth.http.session.refresh_token", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req, meta, .. }: Matrix<v3::Request, NoAuth>,
) -> Result<v3::Response, AuthError> {
    let generation = refresh(&auth, &req.refresh_token, &meta).await?;
    let mut response = v3::Response::new(generation.access_token);
    response.refresh_token = generation.refresh_token;
    response.expires_in_ms = generation.expires_in;
    Ok(response)
}
