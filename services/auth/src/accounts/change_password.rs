//! A new password, and the end of the sessions that the old one made.

use ruma::{DeviceId, UserId};

use crate::{
    error::AuthError,
    outbox::{self, Outbox},
    state::Auth,
    store::{devices, users},
};

/// Which sessions survive the change.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keep<'a> {
    All,
    Only(&'a DeviceId),
}

/// `M_WEAK_PASSWORD`, `M_INVALID_PARAM` ← see [`Passwords::check_new`](super::password::Passwords::check_new)
pub(crate) async fn change_password(
    auth: &Auth,
    user_id: &UserId,
    password: String,
    keep: Keep<'_>,
) -> Result<(), AuthError> {
    auth.passwords.check_new(&password)?;
    let hash = auth.passwords.hash(password).await?;
    let mut tx = auth.db.begin().await?;
    if !users::update_password_hash(&mut tx, user_id.as_str(), &hash).await? {
        return Err(AuthError::UnknownUser(user_id.to_string()));
    }
    let ended = match keep {
        Keep::All => Vec::new(),
        Keep::Only(device_id) => {
            devices::delete_devices_except(&mut tx, user_id.as_str(), Some(device_id.as_str())).await?
        }
    };
    let mut outbox = Outbox::default();
    outbox.devices_deleted(user_id, &ended);
    Ok(outbox::commit(auth, tx, outbox).await?)
}
