//! `PUT /_matrix/client/*/profile/{userId}/{keyName}` —
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3profileuseridkeyname>
//!
//! Errors: `M_FORBIDDEN` ← not the requester's profile, or a field that the server keeps · `M_MISSING_PARAM` ← the field is
//! not in the body · `M_INVALID_PARAM` ← not a field's name, or not its kind of value · `M_KEY_TOO_LARGE` ← over 255 bytes ·
//! `M_PROFILE_TOO_LARGE` ← the whole profile would have 64 KiB · `M_GUEST_ACCESS_FORBIDDEN` ← a guest, but for the name. The empty string removes a name or an avatar.

use axum::extract::State;
use matrixon_http::{Raw, RawJson, UserAuth};

use crate::{
    error::AuthError,
    http::profile::{check_guest, check_owner, path_of, propagates},
    profiles::{
        field::{check_key, parse_body},
        set::{SetField, set_field},
    },
    state::Auth,
};

#[tracing::instrument(name = "auth.http.profile.set_profile_field", skip_all)]
pub(crate) async fn handler(State(auth): State<Auth>, request: Raw<UserAuth>) -> Result<RawJson, AuthError> {
    let (user_id, key) = path_of(&request)?;
    check_owner(&request.auth, &user_id)?;
    check_guest(&request.auth, key)?;
    check_key(key)?;
    let value = Some(parse_body(key, &request.body)?);
    set_field(&auth, &user_id, SetField { key, value, propagate: propagates(&request) }).await?;
    Ok(RawJson("{}".into()))
}
