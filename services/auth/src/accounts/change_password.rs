//! A new password, and the end of the sessions that the old one made.

use matrixon_http::RequestMeta;
use matrixon_store::Tx;
use ruma::{DeviceId, OwnedUserId, UserId};

use crate::{
    error::AuthError,
    outbox::{self, Outbox},
    state::Auth,
    store::{devices, threepids, users},
    threepids::{Credentials, Purpose, ThreepidError, validate},
};

/// Which sessions survive the change.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keep<'a> {
    All,
    Only(&'a DeviceId),
    None,
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
    let mut outbox = Outbox::default();
    write(&mut tx, &mut outbox, (user_id, &hash), keep).await?;
    Ok(outbox::commit(auth, tx, outbox).await?)
}

/// For who has forgotten it: the account is that of the confirmed address.
/// `M_THREEPID_AUTH_FAILED` ← not confirmed, or used up · `M_THREEPID_NOT_FOUND` ← no account has the address any more
pub(crate) async fn reset_password(
    auth: &Auth,
    creds: &Credentials,
    password: String,
    keep: Keep<'_>,
    meta: &RequestMeta,
) -> Result<(), AuthError> {
    auth.passwords.check_new(&password)?;
    let hash = auth.passwords.hash(password).await?;
    let mut tx = auth.db.begin().await?;
    let used = validate::consume(auth, &mut tx, (creds, Purpose::Password), &meta.idempotency_key).await?;
    let owner = threepids::lock_owner(&mut tx, &used.medium, &used.address).await?;
    let user_id = OwnedUserId::try_from(owner.ok_or(ThreepidError::NotFound)?)
        .map_err(|_| AuthError::Internal("a user id in table users is none".to_owned()))?;
    let mut outbox = Outbox::default();
    write(&mut tx, &mut outbox, (&user_id, &hash), keep).await?;
    outbox::commit(auth, tx, outbox).await?;
    tracing::info!(%user_id, "password reset by e-mail");
    Ok(())
}

async fn write(
    tx: &mut Tx,
    outbox: &mut Outbox,
    (user_id, hash): (&UserId, &str),
    keep: Keep<'_>,
) -> Result<(), AuthError> {
    if !users::update_password_hash(tx, user_id.as_str(), hash).await? {
        return Err(AuthError::UnknownUser(user_id.to_string()));
    }
    let kept = match keep {
        Keep::All => return Ok(()),
        Keep::Only(device_id) => Some(device_id.as_str()),
        Keep::None => None,
    };
    let ended = devices::delete_devices_except(tx, user_id.as_str(), kept).await?;
    outbox.devices_deleted(user_id, &ended);
    Ok(())
}
