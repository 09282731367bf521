pub(crate) mod get_user_info;
pub(crate) mod is_user_locked;
pub(crate) mod is_user_suspended;
pub(crate) mod lock_user;
pub(crate) mod suspend_user;

use matrixon_http::UserAuth;
use ruma::UserId;

use crate::{accounts::moderation, error::AuthError, state::Auth, store::user_states::UserState};

/// `M_FORBIDDEN` ← no administrator
fn check_admin(requester: &UserAuth) -> Result<(), AuthError> {
    if requester.admin { Ok(()) } else { Err(AuthError::Forbidden("only administrators may do this")) }
}

/// `M_INVALID_PARAM` ← a user of another server
fn check_local(auth: &Auth, user_id: &UserId) -> Result<(), AuthError> {
    if user_id.server_name() == auth.server_name {
        return Ok(());
    }
    Err(AuthError::InvalidParam("this is not a user of this server".to_owned()))
}

/// What an administrator may ask about. `M_FORBIDDEN` ← no administrator · `M_INVALID_PARAM` ← a user of another
/// server · `M_NOT_FOUND` ← no such user, or one that has ended
async fn get_state(auth: &Auth, requester: &UserAuth, user_id: &UserId) -> Result<UserState, AuthError> {
    check_admin(requester)?;
    check_local(auth, user_id)?;
    let state = moderation::get_state(auth, user_id).await?;
    if state.deactivated { Err(AuthError::UnknownUser(user_id.to_string())) } else { Ok(state) }
}

/// Whom an administrator may lock or suspend. Besides the above: `M_FORBIDDEN` ← oneself, or another administrator
async fn check_target(auth: &Auth, requester: &UserAuth, user_id: &UserId) -> Result<(), AuthError> {
    let state = get_state(auth, requester, user_id).await?;
    if state.admin || requester.user_id == user_id {
        return Err(AuthError::Forbidden("administrators cannot do this to themselves or to each other"));
    }
    Ok(())
}
