//! `POST /_matrix/client/unstable/org.matrixon/email/submit_token`, with the parameters of
//! <https://spec.matrix.org/v1.19/identity-service-api/#post_matrixidentityv2validateemailsubmittoken>: for clients in
//! which people type the token of a mail.
//!
//! Errors: `M_TOKEN_INCORRECT` ← unknown, or of another session · `M_SESSION_EXPIRED` ← too late

use axum::extract::State;
use matrixon_http::{NoAuth, Raw, RawJson};
use serde::Deserialize;
use serde_json::json;

use crate::{
    error::AuthError,
    http::to_json,
    state::Auth,
    threepids::{Credentials, validate::confirm_session},
};

#[derive(Deserialize)]
struct Body {
    sid: String,
    client_secret: String,
    token: String,
}

#[tracing::instrument(name = "auth.http.threepid.submit_token", skip_all)]
pub(crate) async fn handler(State(auth): State<Auth>, raw: Raw<NoAuth>) -> Result<RawJson, AuthError> {
    let body: Body = serde_json::from_slice(&raw.body)
        .map_err(|_| AuthError::MissingParam("`sid`, `client_secret` and `token` are needed"))?;
    let creds = Credentials { sid: body.sid, client_secret: body.client_secret };
    confirm_session(&auth, &creds, &body.token).await?;
    Ok(RawJson(to_json(&json!({ "success": true }))?))
}
