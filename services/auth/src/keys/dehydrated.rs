//! Dehydrated devices: keys of a device that exists nowhere, so that messages reach a user without one.
//! <https://github.com/matrix-org/matrix-spec-proposals/pull/3814>

use std::sync::Arc;

use matrixon_accounts::inbox::{self, MessageRow};
use ruma::{DeviceId, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    one_time::OrderedKeys,
    upload::{self, Upload},
};
use crate::{
    error::AuthError,
    outbox::{self, Outbox},
    sessions::start::DeviceWish,
    state::Auth,
    store::{
        cross_signing::lock_account,
        dehydrated_devices::{self, DehydratedRow},
        device_keys::{LockedDevice, any_device},
        devices::{self, NewDevice},
    },
};

const MAX_DATA_BYTES: usize = 64 * 1024;
/// Messages of one page.
const PAGE: i64 = 100;

/// The body of `PUT …/dehydrated_device`.
#[derive(Debug, Deserialize)]
pub(crate) struct NewDehydratedDevice {
    device_id: String,
    device_data: Box<RawValue>,
    #[serde(default)]
    initial_device_display_name: Option<String>,
    device_keys: Box<RawValue>,
    #[serde(default)]
    one_time_keys: OrderedKeys,
    #[serde(default)]
    fallback_keys: OrderedKeys,
}

impl NewDehydratedDevice {
    /// `M_BAD_JSON` ← a member is missing or of a wrong type
    pub(crate) fn parse(body: &[u8]) -> Result<Self, AuthError> {
        serde_json::from_slice(body).map_err(|error| AuthError::BadJson(error.to_string()))
    }
}

/// Replaces the user's dehydrated device, whose messages go with it; the same one again changes nothing.
///
/// `M_INVALID_PARAM` ← the id is that of a real device · and what refuses keys and names of other devices
pub(crate) async fn put(auth: &Auth, user_id: &UserId, new: NewDehydratedDevice) -> Result<String, AuthError> {
    let device_id: &DeviceId = new.device_id.as_str().into();
    let display_name = new.initial_device_display_name;
    DeviceWish { device_id: Some(device_id.to_owned()), display_name: display_name.clone(), refresh_token: false }
        .check()?;
    if new.device_id.is_empty() {
        return Err(AuthError::InvalidParam("a device id has at least one character".to_owned()));
    }
    if new.device_data.get().len() > MAX_DATA_BYTES {
        return Err(AuthError::TooLarge("device_data has at most 64 KiB"));
    }
    let keys = Arc::new(Upload::new(new.device_keys, new.one_time_keys, new.fallback_keys));
    keys.check_counts()?;
    let checked = upload::check(&keys, user_id, device_id, None).await?;

    let (mut tx, mut outbox) = (auth.db.begin().await?, Outbox::default());
    let account = lock_account(&mut tx, user_id.as_str()).await?;
    let account = account.ok_or_else(|| AuthError::UnknownUser(user_id.to_string()))?;
    let before = dehydrated_devices::find_in(&mut tx, user_id.as_str()).await?;
    if before.as_ref().is_some_and(|row| row.device_id == new.device_id && row.device_data == new.device_data.get()) {
        return Ok(new.device_id);
    }
    if let Some(row) = before {
        let gone = devices::delete_devices(&mut tx, user_id.as_str(), &[row.device_id.as_str()]).await?;
        outbox.devices_deleted(user_id, &gone);
    }
    if any_device(&mut tx, user_id.as_str(), &[new.device_id.as_str()]).await? {
        return Err(AuthError::InvalidParam("this is the id of another device".to_owned()));
    }
    let row = NewDevice {
        account,
        device_id: &new.device_id,
        display_name: display_name.as_deref(),
        seen_ts: auth.clock.now_ms(),
        seen_ip: None,
        seen_user_agent: None,
    };
    let (id, _) = devices::upsert_device(&mut tx, &row).await?;
    dehydrated_devices::insert(&mut tx, account, id, new.device_data.get()).await?;
    let device = LockedDevice { id, device_id: new.device_id, json: None };
    upload::store(&mut tx, &mut outbox, (user_id, &device), &checked, auth.clock.now_ms()).await?;
    outbox::commit(auth, tx, outbox).await?;
    Ok(device.device_id)
}

/// `M_NOT_FOUND` ← there is none
pub(crate) async fn get(auth: &Auth, user_id: &UserId) -> Result<DehydratedRow, AuthError> {
    let found = dehydrated_devices::find(&auth.db, user_id.as_str()).await?;
    found.ok_or(AuthError::NotFound("there is no dehydrated device"))
}

/// Its id. `M_NOT_FOUND` ← there is none
pub(crate) async fn delete(auth: &Auth, user_id: &UserId) -> Result<String, AuthError> {
    let (mut tx, mut outbox) = (auth.db.begin().await?, Outbox::default());
    lock_account(&mut tx, user_id.as_str()).await?;
    let found = dehydrated_devices::find_in(&mut tx, user_id.as_str()).await?;
    let row = found.ok_or(AuthError::NotFound("there is no dehydrated device"))?;
    let gone = devices::delete_devices(&mut tx, user_id.as_str(), &[row.device_id.as_str()]).await?;
    outbox.devices_deleted(user_id, &gone);
    outbox::commit(auth, tx, outbox).await?;
    Ok(row.device_id)
}

/// A page of the messages that it received; reading does not take them away. The token leads to the next page.
///
/// `M_FORBIDDEN` ← not the user's dehydrated device · `M_INVALID_PARAM` ← not a token of ours
pub(crate) async fn list_events(
    auth: &Auth,
    user_id: &UserId,
    device_id: &str,
    next_batch: Option<&str>,
) -> Result<(Vec<MessageRow>, String), AuthError> {
    let found = dehydrated_devices::find(&auth.db, user_id.as_str()).await?;
    let row = found.ok_or(AuthError::NotFound("there is no dehydrated device"))?;
    if row.device_id != device_id {
        return Err(AuthError::Forbidden("this is not your dehydrated device"));
    }
    let after = match next_batch {
        None => 0,
        Some(token) => token
            .strip_prefix("d1_")
            .and_then(|position| position.parse().ok())
            .filter(|position: &i64| *position >= 0)
            .ok_or_else(|| AuthError::InvalidParam("`next_batch` is not a token of this server".to_owned()))?,
    };
    let messages = inbox::list_messages(&auth.db, row.device, after, PAGE).await?;
    let last = messages.last().map_or(after, |message| message.position);
    Ok((messages, format!("d1_{last}")))
}
