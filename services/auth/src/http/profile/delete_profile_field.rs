//! `DELETE /_matrix/client/*/profile/{userId}/{keyName}` —
//! <https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3profileuseridkeyname>
//!
//! Errors: `M_FORBIDDEN` ← not the requester's profile, or a field that the server keeps · `M_INVALID_PARAM` ← not a field's
//! name · `M_KEY_TOO_LARGE` ← over 255 bytes. Deleting what is not there is fine.

use axum::extract::State;
use matrixon_http::{Raw, RawJson, UserAuth};

use crate::{
    error::AuthError,
    http::profile::{check_guest, check_owner, path_of, propagates},
    profiles::{
        field::check_key,
        set::{SetField, set_field},
    },
    state::Auth,
};

#[tracing::instrument(name = "auth.http.profile.delete_profile_field", skip_all)]
pub(crate) async fn handler(State(auth): State<Auth>, request: Raw<UserAuth>) -> Result<RawJson, AuthError> {
    let (user_id, key) = path_of(&request)?;
    check_owner(&request.auth, &user_id)?;
    check_guest(&request.auth, key)?;
    check_key(key)?;
    set_field(&auth, &user_id, SetField { key, value: None, propagate: propagates(&request) }).await?;
    Ok(RawJson("{}".into()))
}
