//! `m.login.token`: a logged-in client makes a token that logs another one in, once and soon.

use std::time::Duration;

use matrixon_http::RequestMeta;
use matrixon_runtime::random;
use matrixon_store::Tx;
use ruma::UserId;

use super::tokens::{Token, hash_token};
use crate::{error::AuthError, state::Auth, store::login_tokens};

pub(crate) struct LoginToken {
    pub text: String,
    pub expires_in: Duration,
}

pub(crate) async fn create_login_token(auth: &Auth, user_id: &UserId) -> Result<LoginToken, AuthError> {
    let expires_in = Duration::from_secs(auth.config.login_token_seconds);
    let token = Token::new_login();
    let expires_ts = auth.clock.now_ms().saturating_add(expires_in.as_millis() as i64);
    login_tokens::insert_login_token(&auth.db, &token.sha256, user_id.as_str(), expires_ts).await?;
    Ok(LoginToken { text: token.text, expires_in })
}

/// Uses a token up in the transaction that begins its session, and returns its user.
/// `M_FORBIDDEN` ← unknown, used or expired
pub(super) async fn use_login_token(
    auth: &Auth,
    tx: &mut Tx,
    token: &str,
    meta: &RequestMeta,
) -> Result<String, AuthError> {
    let key = &meta.idempotency_key;
    let request = if key.is_empty() { random::id(22) } else { key.clone() };
    let used = login_tokens::use_login_token(tx, &hash_token(token), &request, auth.clock.now_ms()).await?;
    used.ok_or(AuthError::InvalidLoginToken)
}
