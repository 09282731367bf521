//! `PUT /_matrix/client/*/profile/{userId}/displayname` —
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3profileuseridkeyname>
//!
//! Errors: `M_FORBIDDEN` ← not the requester's profile · `M_MISSING_PARAM` ← no `displayname` · `M_INVALID_PARAM` ←
//! `null`, or over 256 characters. The empty string removes the name.

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::profile::set_display_name::v3;

use crate::{
    accounts::profile::{check_field, check_owner},
    error::AuthError,
    state::Auth,
    store::users,
};

const MAX_CHARS: usize = 256;

#[tracing::instrument(name = "auth.http.profile.set_display_name", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req, auth: requester, body, .. }: Matrix<v3::Request, UserAuth>,
) -> Result<v3::Response, AuthError> {
    check_owner(&requester.user_id, &req.user_id)?;
    let displayname = check_field("displayname", &body, MAX_CHARS)?;
    users::update_displayname(&auth.db, requester.user_id.as_str(), displayname.as_deref()).await?;
    Ok(v3::Response::new())
}
