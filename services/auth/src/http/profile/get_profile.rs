//! `GET /_matrix/client/*/profile/{userId}` —
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3profileuserid>
//!
//! Errors: `M_NOT_FOUND` ← no such user here · `M_FORBIDDEN`, `M_MISSING_TOKEN` ← the server's options (section
//! `auth.profiles`)

use axum::extract::State;
use matrixon_http::{Matrix, OptionalAuth, RawJson};
use ruma::api::client::profile::get_profile::v3;

use crate::{
    error::AuthError,
    profiles::{field::write_profile, visibility::find_visible},
    state::Auth,
};

#[tracing::instrument(name = "auth.http.profile.get_profile", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req, auth: requester, .. }: Matrix<v3::Request, OptionalAuth>,
) -> Result<RawJson, AuthError> {
    let profile = find_visible(&auth, requester.0.as_ref(), &req.user_id).await?;
    Ok(RawJson(write_profile(&profile).into()))
}
