//! `POST /_matrix/client/*/account/password/email/requestToken` —
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountpasswordemailrequesttoken>
//!
//! Errors: `M_THREEPID_MEDIUM_NOT_SUPPORTED` ← no e-mail here · `M_INVALID_PARAM` ← no address · `M_THREEPID_DENIED` ←
//! a domain that may not · `M_THREEPID_NOT_FOUND` ← if configured · `M_LIMIT_EXCEEDED` ← too many mails

use axum::extract::State;
use matrixon_http::{Matrix, NoAuth};
use ruma::api::client::account::request_password_change_token_via_email::v3;

use crate::{
    error::AuthError,
    state::Auth,
    threepids::{
        Purpose,
        validate::{Ask, request_token},
    },
};

#[tracing::instrument(name = "auth.http.threepid.request_password_change_token_via_email", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req, meta, .. }: Matrix<v3::Request, NoAuth>,
) -> Result<v3::Response, AuthError> {
    let ask = Ask {
        purpose: Purpose::Password,
        email: req.email,
        client_secret: req.client_secret.to_string(),
        send_attempt: req.send_attempt.into(),
        next_link: req.next_link,
        remote_addr: meta.remote_addr,
    };
    Ok(v3::Response::new(request_token(&auth, ask).await?))
}
