//! `GET /_matrix/federation/v1/openid/userinfo` —
//! <https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1openiduserinfo>
//!
//! Errors: `M_MISSING_TOKEN` ← none given · `M_UNKNOWN_TOKEN` ← unknown or expired, both 401

use axum::extract::State;
use matrixon_http::{NoAuth, Raw, RawJson};
use serde_json::json;

use crate::{error::AuthError, sessions::tokens::hash_token, state::Auth, store::openid_tokens};

pub(crate) const PATH: &str = "/_matrix/federation/v1/openid/userinfo";

/// The token is no access token of the client API, so it comes as it is. Ours need no percent-decoding.
#[tracing::instrument(name = "auth.http.openid.get_openid_userinfo", skip_all)]
pub(crate) async fn handler(State(auth): State<Auth>, request: Raw<NoAuth>) -> Result<RawJson, AuthError> {
    let query = request.parts.uri.query().unwrap_or_default();
    let token = query.split('&').find_map(|pair| pair.strip_prefix("access_token=")).ok_or(AuthError::MissingToken)?;
    let owner = openid_tokens::find_owner(&auth.db, &hash_token(token), auth.clock.now_ms()).await?;
    let sub = owner.ok_or(AuthError::UnknownToken { soft_logout: false })?;
    Ok(RawJson(json!({ "sub": sub }).to_string().into()))
}
