//! `GET /_matrix/client/*/register/available` —
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3registeravailable>
//!
//! Errors: `M_USER_IN_USE` ← taken · `M_INVALID_USERNAME` ← against the grammar · `M_FORBIDDEN` ← nobody may register

use axum::extract::State;
use matrixon_http::{Matrix, NoAuth};
use ruma::api::client::account::get_username_availability::v3;

use crate::{accounts::create::check_available, error::AuthError, state::Auth};

#[tracing::instrument(name = "auth.http.account.get_username_availability", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req, .. }: Matrix<v3::Request, NoAuth>,
) -> Result<v3::Response, AuthError> {
    if auth.config.registration_flows().is_empty() {
        return Err(AuthError::RegistrationClosed);
    }
    check_available(&auth, &req.username).await?;
    Ok(v3::Response::new(true))
}
