//! Who may see a profile. <https://spec.matrix.org/v1.19/client-server-api/#profiles>

use matrixon_http::UserAuth;
use matrixon_rooms::{members, rooms};
use ruma::UserId;

use crate::{
    error::AuthError,
    state::Auth,
    store::profiles::{self, Profile},
};

/// The profile of `user_id`, if the requester may see it.
///
/// `M_MISSING_TOKEN` ← the server wants a token for this · `M_FORBIDDEN` ← neither a shared nor a public room, where the
/// server demands that · `M_NOT_FOUND` ← no such user here
pub(crate) async fn find_visible(
    auth: &Auth,
    requester: Option<&UserAuth>,
    user_id: &UserId,
) -> Result<Profile, AuthError> {
    let options = &auth.config.profiles;
    if (options.require_authentication || options.limit_to_shared_rooms) && requester.is_none() {
        return Err(AuthError::MissingToken);
    }
    if user_id.server_name() != auth.server_name {
        return Err(AuthError::UnknownProfile);
    }
    if let Some(requester) = requester.filter(|_| options.limit_to_shared_rooms)
        && !sees(auth, &requester.user_id, user_id).await?
    {
        return Err(AuthError::Forbidden("you share no room with this user"));
    }
    profiles::find_profile(&auth.db, user_id.as_str()).await?.ok_or(AuthError::UnknownProfile)
}

async fn sees(auth: &Auth, requester: &UserId, user_id: &UserId) -> Result<bool, AuthError> {
    Ok(requester == user_id
        || members::share_room(&auth.db, requester.as_str(), user_id.as_str()).await?
        || rooms::is_in_public_room(&auth.db, user_id.as_str()).await?)
}
