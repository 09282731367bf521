//! Log-in with a password.

use matrixon_http::RequestMeta;
use ruma::OwnedUserId;

use super::start::{DeviceWish, Session, start_session};
use crate::{
    accounts::{localpart, password::Verdict},
    error::AuthError,
    metrics,
    outbox::{self, Outbox},
    state::Auth,
    store::users::{self, UserRow},
};

/// `M_FORBIDDEN` ← unknown user or wrong password, after the same time · `M_USER_DEACTIVATED` ← the account has ended
/// `M_LIMIT_EXCEEDED` ← too many passwords are being checked
pub(crate) async fn login(
    auth: &Auth,
    name: Option<&str>,
    password: String,
    wish: DeviceWish,
    meta: &RequestMeta,
) -> Result<Session, AuthError> {
    wish.check()?;
    let user = check_password(auth, name, password).await.inspect_err(metrics::count_login_failure)?;
    let (mut tx, mut outbox) = (auth.db.begin().await?, Outbox::default());
    let user_id = owned_user_id(&user)?;
    let session = start_session(auth, &mut tx, &mut outbox, (user.id, user_id), wish, meta).await?;
    outbox::commit(auth, tx, outbox).await?;
    metrics::count_login("success");
    Ok(session)
}

/// Finds the account that a name means and checks its password; a hash of an old cost is renewed.
pub(crate) async fn check_password(auth: &Auth, name: Option<&str>, password: String) -> Result<UserRow, AuthError> {
    let user_id = name.and_then(|name| localpart::find_named(name, &auth.server_name));
    let user = match user_id {
        Some(user_id) => users::find_user(&auth.db, user_id.as_str()).await?,
        None => None,
    };
    let hash = user.as_ref().and_then(|user| user.password_hash.clone());
    let verdict = auth.passwords.verify(password.clone(), hash.clone()).await?;
    let user = user.ok_or(AuthError::InvalidCredentials)?;
    if user.deactivated {
        return Err(AuthError::UserDeactivated);
    }
    match (verdict, hash) {
        (Verdict::Right, _) => {}
        (Verdict::RightButStale, Some(old)) => {
            let new = auth.passwords.hash(password).await?;
            users::replace_password_hash(&auth.db, user.id, &old, &new).await?;
        }
        _ => return Err(AuthError::InvalidCredentials),
    }
    Ok(user)
}

pub(crate) fn owned_user_id(user: &UserRow) -> Result<OwnedUserId, AuthError> {
    OwnedUserId::try_from(user.user_id.as_str())
        .map_err(|_| AuthError::Internal(format!("`{}` in table users is not a user id", user.user_id)))
}
