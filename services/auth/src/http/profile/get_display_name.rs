//! `GET /_matrix/client/*/profile/{userId}/displayname` —
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3profileuseridkeyname>
//!
//! Errors: `M_NOT_FOUND` ← no such user here

use axum::extract::State;
use matrixon_http::{Matrix, NoAuth};
use ruma::api::client::profile::get_display_name::v3;

use crate::{error::AuthError, state::Auth, store::users};

#[tracing::instrument(name = "auth.http.profile.get_display_name", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req, .. }: Matrix<v3::Request, NoAuth>,
) -> Result<v3::Response, AuthError> {
    let profile = users::find_profile(&auth.db, req.user_id.as_str()).await?.ok_or(AuthError::UnknownProfile)?;
    Ok(v3::Response::new(profile.displayname))
}
