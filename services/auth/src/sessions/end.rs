//! Ends of sessions. All of them may be repeated: what is gone stays gone.

use ruma::{DeviceId, UserId};

use super::revocations::{self, Revocation};
use crate::{error::AuthError, state::Auth, store::devices};

/// Logs one device out; the device goes with its tokens.
pub(crate) async fn logout(auth: &Auth, user_id: &UserId, device_id: &DeviceId) -> Result<(), AuthError> {
    delete_devices(auth, user_id, &[device_id.as_str()]).await
}

/// Logs every device out.
pub(crate) async fn logout_all(auth: &Auth, user_id: &UserId) -> Result<(), AuthError> {
    let mut tx = auth.db.begin().await?;
    let ended = devices::delete_devices_except(&mut tx, user_id.as_str(), None).await?;
    let revoked = if ended.is_empty() { Vec::new() } else { vec![Revocation::user(user_id)] };
    revocations::commit(auth, tx, revoked).await
}

/// Deletes devices of a user; unknown ones are skipped.
pub(crate) async fn delete_devices(auth: &Auth, user_id: &UserId, device_ids: &[&str]) -> Result<(), AuthError> {
    let mut tx = auth.db.begin().await?;
    let ended = devices::delete_devices(&mut tx, user_id.as_str(), device_ids).await?;
    let revoked = Revocation::devices(user_id, &ended);
    revocations::commit(auth, tx, revoked).await
}
