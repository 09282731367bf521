//! Ends of sessions. All of them may be repeated: what is gone stays gone.

use matrixon_store::{StoreError, Tx};
use ruma::{DeviceId, UserId};

use super::revocations::Revocation;
use crate::{
    error::AuthError,
    outbox::{self, Outbox},
    state::Auth,
    store::devices,
};

/// Logs one device out; the device goes with its tokens.
pub(crate) async fn logout(auth: &Auth, user_id: &UserId, device_id: &DeviceId) -> Result<(), AuthError> {
    delete_devices(auth, user_id, &[device_id.as_str()]).await
}

/// Logs every device out.
pub(crate) async fn logout_all(auth: &Auth, user_id: &UserId) -> Result<(), AuthError> {
    let (mut tx, mut outbox) = (auth.db.begin().await?, Outbox::default());
    end_all(&mut tx, &mut outbox, user_id).await?;
    Ok(outbox::commit(auth, tx, outbox).await?)
}

/// Deletes every device in the caller's transaction.
pub(crate) async fn end_all(tx: &mut Tx, outbox: &mut Outbox, user_id: &UserId) -> Result<(), StoreError> {
    let ended = devices::delete_devices_except(tx, user_id.as_str(), None).await?;
    outbox.all_devices_deleted(user_id, &ended);
    Ok(())
}

/// Deletes devices of a user; unknown ones are skipped.
pub(crate) async fn delete_devices(auth: &Auth, user_id: &UserId, device_ids: &[&str]) -> Result<(), AuthError> {
    let mut tx = auth.db.begin().await?;
    let ended = devices::delete_devices(&mut tx, user_id.as_str(), device_ids).await?;
    Ok(outbox::commit(auth, tx, Revocation::devices(user_id, &ended).into()).await?)
}
