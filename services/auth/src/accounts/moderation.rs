//! What administrators do to whole accounts. Every function may be repeated: what is so already stays so.
//!
//! Each appends a revocation to what it changes, so that gateways forget within a second what they knew of the account.

use ruma::UserId;

use crate::{
    error::AuthError,
    outbox,
    sessions::revocations::Revocation,
    state::Auth,
    store::user_states::{self, Flag, UserState},
};

/// `M_NOT_FOUND` ← no such user here
pub(crate) async fn get_state(auth: &Auth, user_id: &UserId) -> Result<UserState, AuthError> {
    let state = user_states::find_state(&auth.db, user_id.as_str()).await?;
    state.ok_or_else(|| AuthError::UnknownUser(user_id.to_string()))
}

/// The account may only log out until it is unlocked; its sessions stay. True: it was not locked.
/// `M_NOT_FOUND` ← no such user
pub(crate) async fn lock(auth: &Auth, user_id: &UserId) -> Result<bool, AuthError> {
    set(auth, user_id, Flag::Locked, true).await
}

/// True: it was locked. `M_NOT_FOUND` ← no such user
pub(crate) async fn unlock(auth: &Auth, user_id: &UserId) -> Result<bool, AuthError> {
    set(auth, user_id, Flag::Locked, false).await
}

/// The account may read, leave and redact what is its own. True: it was not suspended.
/// `M_NOT_FOUND` ← no such user
pub(crate) async fn suspend(auth: &Auth, user_id: &UserId) -> Result<bool, AuthError> {
    set(auth, user_id, Flag::Suspended, true).await
}

/// True: it was suspended. `M_NOT_FOUND` ← no such user
pub(crate) async fn unsuspend(auth: &Auth, user_id: &UserId) -> Result<bool, AuthError> {
    set(auth, user_id, Flag::Suspended, false).await
}

async fn set(auth: &Auth, user_id: &UserId, flag: Flag, on: bool) -> Result<bool, AuthError> {
    let mut tx = auth.db.begin().await?;
    let state = lock_state(&mut tx, user_id).await?;
    if flag.of(&state) == on {
        tx.rollback().await?;
        return Ok(false);
    }
    user_states::set_flag(&mut tx, user_id.as_str(), flag, on).await?;
    outbox::commit(auth, tx, vec![Revocation::user(user_id)].into()).await?;
    tracing::info!(%user_id, flag = flag.name(), on, "account changed");
    Ok(true)
}

async fn lock_state(tx: &mut matrixon_store::Tx, user_id: &UserId) -> Result<UserState, AuthError> {
    let state = user_states::lock_state(tx, user_id.as_str()).await?;
    state.ok_or_else(|| AuthError::UnknownUser(user_id.to_string()))
}
