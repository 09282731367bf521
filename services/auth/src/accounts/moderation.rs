//! How an account stands. Changes of it are administration: [`crate::admin::change`].

use ruma::UserId;

use crate::{
    error::AuthError,
    state::Auth,
    store::user_states::{self, UserState},
};

/// `M_NOT_FOUND` ← no such user here
pub(crate) async fn get_state(auth: &Auth, user_id: &UserId) -> Result<UserState, AuthError> {
    let state = user_states::find_state(&auth.db, user_id.as_str()).await?;
    state.ok_or_else(|| AuthError::UnknownUser(user_id.to_string()))
}
