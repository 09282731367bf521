//! `PUT /_matrix/client/*/profile/{userId}/avatar_url` —
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3profileuseridkeyname>
//!
//! Errors: `M_FORBIDDEN` ← not the requester's profile · `M_MISSING_PARAM` ← no `avatar_url` · `M_INVALID_PARAM` ←
//! `null`, or over 1,000 characters. The empty string removes the avatar.

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::profile::set_avatar_url::v3;

use crate::{
    accounts::profile::{check_field, check_owner},
    error::AuthError,
    state::Auth,
    store::users,
};

const MAX_CHARS: usize = 1_000;

#[tracing::instrument(name = "auth.http.profile.set_avatar_url", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req, auth: requester, body, .. }: Matrix<v3::Request, UserAuth>,
) -> Result<v3::Response, AuthError> {
    check_owner(&requester.user_id, &req.user_id)?;
    let avatar_url = check_field("avatar_url", &body, MAX_CHARS)?;
    users::update_avatar_url(&auth.db, requester.user_id.as_str(), avatar_url.as_deref()).await?;
    Ok(v3::Response::new())
}
