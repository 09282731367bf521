pub(crate) mod get_user_info;
pub(crate) mod is_user_locked;
pub(crate) mod is_user_suspended;
pub(crate) mod lock_user;
pub(crate) mod suspend_user;

use matrixon_http::{MatrixError, RequestMeta, UserAuth};
use ruma::UserId;

use crate::{
    accounts::moderation,
    admin::change::{Change, change},
    audit::{self, Caller, Via},
    error::AuthError,
    state::Auth,
    store::user_states::UserState,
};

/// Whom the gateway does not know as an administrator may have become one since. `M_FORBIDDEN` ← no administrator
async fn check_admin(auth: &Auth, requester: &UserAuth) -> Result<(), AuthError> {
    if requester.admin || moderation::get_state(auth, &requester.user_id).await?.admin {
        return Ok(());
    }
    Err(AuthError::Forbidden("only administrators may do this"))
}

/// `M_INVALID_PARAM` ← a user of another server
fn check_local(auth: &Auth, user_id: &UserId) -> Result<(), AuthError> {
    if user_id.server_name() == auth.server_name {
        return Ok(());
    }
    Err(AuthError::InvalidParam("this is not a user of this server".to_owned()))
}

/// What an administrator may ask about. `M_INVALID_PARAM` ← a user of another server · `M_NOT_FOUND` ← no such user, or
/// one that has ended
async fn get_state(auth: &Auth, user_id: &UserId) -> Result<UserState, AuthError> {
    check_local(auth, user_id)?;
    let state = moderation::get_state(auth, user_id).await?;
    if state.deactivated { Err(AuthError::UnknownUser(user_id.to_string())) } else { Ok(state) }
}

/// Locks or suspends, or undoes it. Who may not do it is in the audit log as well.
async fn moderate(
    auth: &Auth,
    (requester, meta): (&UserAuth, &RequestMeta),
    user_id: &UserId,
    to: Change,
) -> Result<(), MatrixError> {
    let caller = Caller::new(requester.user_id.as_str(), Via::Client, meta);
    if let Err(error) = check_admin(auth, requester).await {
        if !matches!(error, AuthError::Forbidden(_)) {
            return Err(error.into());
        }
        return Err(audit::denied(auth, (&caller, to.entry(user_id.to_string())), error).await);
    }
    if let Err(error) = check_target(auth, requester, user_id).await {
        return Err(audit::refused(auth, (&caller, &to.entry(user_id.to_string())), error).await);
    }
    change(auth, &caller, user_id.as_str(), to).await?;
    Ok(())
}

/// Whom an administrator may lock or suspend. Besides the above: `M_FORBIDDEN` ← oneself, or another administrator
async fn check_target(auth: &Auth, requester: &UserAuth, user_id: &UserId) -> Result<(), AuthError> {
    let state = get_state(auth, user_id).await?;
    if state.admin || requester.user_id == user_id {
        return Err(AuthError::Forbidden("administrators cannot do this to themselves or to each other"));
    }
    Ok(())
}
