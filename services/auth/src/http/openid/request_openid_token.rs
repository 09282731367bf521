//! `POST /_matrix/client/*/user/{userId}/openid/request_token` —
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3useruseridopenidrequest_token>
//!
//! Errors: `M_FORBIDDEN` ← for somebody else

use std::time::Duration;

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::{api::client::account::request_openid_token::v3, authentication::TokenType};

use crate::{error::AuthError, sessions::tokens::Token, state::Auth, store::openid_tokens};

const LIFETIME: Duration = Duration::from_hours(1);

#[tracing::instrument(name = "auth.http.openid.request_openid_token", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req, auth: requester, .. }: Matrix<v3::Request, UserAuth>,
) -> Result<v3::Response, AuthError> {
    if requester.user_id != req.user_id {
        return Err(AuthError::Forbidden("tokens are given for the own account only"));
    }
    let token = Token::new_openid();
    let expires_ts = auth.clock.now_ms() + LIFETIME.as_millis() as i64;
    openid_tokens::insert_token(&auth.db, &token.sha256, req.user_id.as_str(), expires_ts).await?;
    Ok(v3::Response::new(token.text, TokenType::Bearer, auth.server_name.clone(), LIFETIME))
}
