//! `GET /_matrix/client/*/profile/{userId}` —
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3profileuserid>
//!
//! Errors: `M_NOT_FOUND` ← no such user here

use axum::extract::State;
use matrixon_http::{Matrix, NoAuth};
use ruma::api::client::profile::get_profile::v3;

use crate::{error::AuthError, state::Auth, store::users};

#[tracing::instrument(name = "auth.http.profile.get_profile", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req, .. }: Matrix<v3::Request, NoAuth>,
) -> Result<v3::Response, AuthError> {
    let profile = users::find_profile(&auth.db, req.user_id.as_str()).await?.ok_or(AuthError::UnknownProfile)?;
    let mut response = v3::Response::new();
    for (field, value) in [("displayname", profile.displayname), ("avatar_url", profile.avatar_url)] {
        if let Some(value) = value {
            response.set(field.to_owned(), value.into());
        }
    }
    Ok(response)
}
