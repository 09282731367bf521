//! `GET /_matrix/client/v1/register/m.login.registration_token/validity` —
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1registermloginregistration_tokenvalidity>
//!
//! Errors: `M_FORBIDDEN` ← nobody may register with a token

use axum::extract::State;
use matrixon_http::{Matrix, NoAuth};
use ruma::api::client::account::check_registration_token_validity::v1;

use crate::{error::AuthError, state::Auth, store::registration_tokens};

#[tracing::instrument(name = "auth.http.account.check_registration_token_validity", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req, .. }: Matrix<v1::Request, NoAuth>,
) -> Result<v1::Response, AuthError> {
    if !auth.config.token_registration {
        return Err(AuthError::RegistrationClosed);
    }
    let valid = registration_tokens::is_valid(&auth.db, &req.token, auth.clock.now_ms()).await?;
    Ok(v1::Response::new(valid))
}
