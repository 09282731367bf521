//! A device uploads its keys.

use std::{collections::BTreeMap, sync::Arc};

use matrixon_accounts::one_time_keys::SIGNED_CURVE25519;
use matrixon_store::{StoreError, Tx};
use ruma::{DeviceId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    device_keys::DeviceKeys,
    one_time::{OneTimeKey, OrderedKeys, Owner, check_keys},
};
use crate::{
    error::AuthError,
    outbox::{self, Outbox},
    state::Auth,
    store::{
        device_keys::{self, LockedDevice},
        one_time_keys,
    },
};

/// Clients keep 50 to 100.
const MAX_ONE_TIME_KEYS: usize = 10_000;
const MAX_FALLBACK_KEYS: usize = 16;
/// How often it is done again because the identity keys changed meanwhile, or after a deadlock.
const MAX_TRIES: usize = 5;
/// So many signatures are checked without leaving the threads that serve everybody.
const CHECKED_AT_ONCE: usize = 64;

/// The body of `/keys/upload`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Upload {
    #[serde(default)]
    device_keys: Option<Box<RawValue>>,
    #[serde(default)]
    one_time_keys: OrderedKeys,
    #[serde(default)]
    fallback_keys: OrderedKeys,
    /// The name before it was in the specification.
    #[serde(default, rename = "org.matrix.msc2732.fallback_keys")]
    unstable_fallback_keys: OrderedKeys,
}

/// What is left to give out, by algorithm.
pub(crate) type Counts = BTreeMap<String, i64>;

impl Upload {
    /// `M_BAD_JSON` ← a member of a wrong type
    pub(crate) fn parse(body: &[u8]) -> Result<Self, AuthError> {
        serde_json::from_slice(body).map_err(|error| AuthError::BadJson(error.to_string()))
    }

    pub(super) fn new(device_keys: Box<RawValue>, one_time_keys: OrderedKeys, fallback_keys: OrderedKeys) -> Self {
        Self { device_keys: Some(device_keys), one_time_keys, fallback_keys, ..Self::default() }
    }

    /// `M_INVALID_PARAM` ← too many
    pub(super) fn check_counts(&self) -> Result<(), AuthError> {
        if self.one_time_keys.len() > MAX_ONE_TIME_KEYS {
            return Err(AuthError::InvalidParam(format!("a device has at most {MAX_ONE_TIME_KEYS} one-time keys")));
        }
        if self.fallback().len() > MAX_FALLBACK_KEYS {
            return Err(AuthError::InvalidParam(format!("a device has at most {MAX_FALLBACK_KEYS} fallback keys")));
        }
        Ok(())
    }

    fn fallback(&self) -> &OrderedKeys {
        if self.fallback_keys.len() > 0 { &self.fallback_keys } else { &self.unstable_fallback_keys }
    }
}

/// Stores the keys, all of them or none.
///
/// `M_INVALID_PARAM` ← keys of another user or device, other identity keys than before, a key id with another value than
/// before, too many keys · `M_BAD_JSON`, `M_INVALID_SIGNATURE`, `M_TOO_LARGE` ← see the keys' own checks
pub(crate) async fn upload(
    auth: &Auth,
    user_id: &UserId,
    device_id: &DeviceId,
    upload: Upload,
) -> Result<Counts, AuthError> {
    upload.check_counts()?;
    let upload = Arc::new(upload);
    for _ in 0..MAX_TRIES {
        // checked before the transaction: signatures take their time
        let stored = device_keys::find_device_keys(&auth.db, user_id.as_str(), device_id.as_str()).await?;
        let checked = check(&upload, user_id, device_id, stored.clone()).await?;
        let mut tx = auth.db.begin().await?;
        let devices = device_keys::lock_devices(&mut tx, user_id.as_str(), &[device_id.as_str()]).await?;
        // none: the session ended while the request was on its way
        let device = devices.into_iter().next().ok_or(AuthError::UnknownToken { soft_logout: false })?;
        if device.json == stored {
            let mut outbox = Outbox::default();
            match store(&mut tx, &mut outbox, (user_id, &device), &checked, auth.clock.now_ms()).await {
                // rolled back: it met a claim of the same keys, or their pruning
                Err(AuthError::Store(StoreError::Retry(_))) => {}
                counts => {
                    let counts = counts?;
                    outbox::commit(auth, tx, outbox).await?;
                    return Ok(counts);
                }
            }
        }
    }
    Err(AuthError::Busy)
}

/// Checks an upload against the identity keys that the device has.
pub(super) async fn check(
    upload: &Arc<Upload>,
    user_id: &UserId,
    device_id: &DeviceId,
    stored: Option<String>,
) -> Result<Checked, AuthError> {
    if upload.one_time_keys.len() <= CHECKED_AT_ONCE {
        return Checked::check(upload, user_id, device_id, stored.as_deref());
    }
    let (upload, user_id, device_id) = (Arc::clone(upload), user_id.to_owned(), device_id.to_owned());
    let checked = move || Checked::check(&upload, &user_id, &device_id, stored.as_deref());
    let joined = tokio::task::spawn_blocking(checked).await;
    joined.map_err(|error| AuthError::Internal(format!("the check of keys: {error}")))?
}

/// Stores keys of a locked device in the caller's transaction.
pub(super) async fn store(
    tx: &mut Tx,
    outbox: &mut Outbox,
    (user_id, device): (&UserId, &LockedDevice),
    checked: &Checked,
    now_ms: i64,
) -> Result<Counts, AuthError> {
    if let Some(json) = checked.device_keys.as_ref().filter(|json| Some(*json) != device.json.as_ref()) {
        device_keys::upsert_device_keys(tx, device.id, json).await?;
        outbox.device_changed(user_id, &device.device_id);
    }
    let mut changed = false;
    if !checked.one_time_keys.is_empty() {
        store_one_time_keys(tx, device.id, &checked.one_time_keys, now_ms).await?;
        changed = true;
    }
    for key in &checked.fallback_keys {
        changed |= one_time_keys::upsert_fallback_key(tx, device.id, (&key.algorithm, &key.key_id), &key.json).await?;
    }
    if changed {
        outbox.key_counts_changed(device.id);
    }
    let mut counts = Counts::from([(SIGNED_CURVE25519.to_owned(), 0)]);
    counts.extend(one_time_keys::count_one_time_keys(tx, device.id).await?);
    if counts.values().sum::<i64>() > MAX_ONE_TIME_KEYS as i64 {
        return Err(AuthError::InvalidParam(format!("a device has at most {MAX_ONE_TIME_KEYS} one-time keys")));
    }
    Ok(counts)
}

async fn store_one_time_keys(tx: &mut Tx, device: i64, keys: &[OneTimeKey], now_ms: i64) -> Result<(), AuthError> {
    let list = to_json(keys)?;
    let rows = one_time_keys::load_one_time_keys(tx, device, &list).await?;
    let waiting: BTreeMap<(&str, &str), &str> =
        rows.iter().map(|(algorithm, id, json)| ((algorithm.as_str(), id.as_str()), json.as_str())).collect();
    for key in keys {
        let stored = waiting.get(&(key.algorithm.as_str(), key.key_id.as_str()));
        if stored.is_some_and(|json| *json != key.json) {
            let id = format!("{}:{}", key.algorithm, key.key_id);
            return Err(AuthError::InvalidParam(format!("one-time key {id} exists already, with another value")));
        }
    }
    if waiting.len() == keys.len() {
        return Ok(());
    }
    let waits = |key: &OneTimeKey| waiting.contains_key(&(key.algorithm.as_str(), key.key_id.as_str()));
    let uploaded = one_time_keys::load_uploaded(tx, device).await?;
    let ids: Vec<String> = keys.iter().map(|key| format!("{}:{}", key.algorithm, key.key_id)).collect();
    let (new, ids): (Vec<&OneTimeKey>, Vec<&str>) = keys
        .iter()
        .zip(ids.iter().map(String::as_str))
        .filter(|(key, id)| !waits(key) && !uploaded.contains(*id))
        .unzip();
    if !new.is_empty() {
        one_time_keys::insert_one_time_keys(tx, device, &to_json(&new)?).await?;
        one_time_keys::insert_upload(tx, device, &ids, now_ms).await?;
    }
    Ok(())
}

fn to_json<T: Serialize + ?Sized>(keys: &T) -> Result<String, AuthError> {
    serde_json::to_string(keys).map_err(|error| AuthError::Internal(format!("one-time keys: {error}")))
}

/// Keys that may be stored.
pub(super) struct Checked {
    device_keys: Option<String>,
    one_time_keys: Vec<OneTimeKey>,
    fallback_keys: Vec<OneTimeKey>,
}

impl Checked {
    fn check(upload: &Upload, user_id: &UserId, device_id: &DeviceId, stored: Option<&str>) -> Result<Self, AuthError> {
        let stored = stored.map(DeviceKeys::read).transpose()?;
        let new = match &upload.device_keys {
            Some(json) => Some(DeviceKeys::check(json.get(), user_id, device_id)?),
            None => None,
        };
        let keys = match (new, stored) {
            (Some(new), Some(stored)) => Some(new.replacing(&stored, user_id, device_id)?),
            (new, stored) => new.or(stored),
        };
        let signing_key = keys.as_ref().and_then(|keys| keys.signing_key(device_id));
        let owner = Owner { user_id, device_id, signing_key };
        Ok(Self {
            one_time_keys: check_keys(&upload.one_time_keys, &owner)?,
            fallback_keys: check_keys(upload.fallback(), &owner)?,
            device_keys: keys.map(DeviceKeys::into_json),
        })
    }
}
