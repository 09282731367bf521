//! `GET /_matrix/client/*/profile/{userId}/{keyName}` —
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3profileuseridkeyname>
//!
//! Errors: `M_NOT_FOUND` ← no such user here, or the field is not set · `M_FORBIDDEN`, `M_MISSING_TOKEN` ← the server's
//! options (section `auth.profiles`). A name or an avatar that is not set is an empty object, as clients are used to.

use axum::extract::State;
use matrixon_http::{OptionalAuth, Raw, RawJson};

use crate::{
    error::AuthError,
    http::profile::path_of,
    profiles::{
        field::{AVATAR_URL, DISPLAYNAME, write_field},
        visibility::find_visible,
    },
    state::Auth,
};

#[tracing::instrument(name = "auth.http.profile.get_profile_field", skip_all)]
pub(crate) async fn handler(State(auth): State<Auth>, request: Raw<OptionalAuth>) -> Result<RawJson, AuthError> {
    let (user_id, key) = path_of(&request)?;
    let profile = find_visible(&auth, request.auth.0.as_ref(), &user_id).await?;
    match write_field(&profile, key) {
        Some(json) => Ok(RawJson(json.into())),
        None if matches!(key, DISPLAYNAME | AVATAR_URL) => Ok(RawJson("{}".into())),
        None => Err(AuthError::UnknownField),
    }
}
