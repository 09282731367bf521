//! One-time and fallback keys as clients upload them:
//! <https://spec.matrix.org/v1.19/client-server-api/#one-time-and-fallback-keys>

use std::fmt;

use matrixon_accounts::one_time_keys::SIGNED_CURVE25519;
use ruma::{DeviceId, UserId};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

use super::signed::{PublicKey, SignedObject, Verdict};
use crate::error::AuthError;

/// Ids are parts of an index.
const MAX_ID_BYTES: usize = 255;
const MAX_KEY_BYTES: usize = 16 * 1024;

/// A JSON object in the order in which it was written: keys are given out in the order of their upload.
#[derive(Debug, Default)]
pub(super) struct OrderedKeys(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for OrderedKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;

        impl<'de> Visitor<'de> for Keys {
            type Value = OrderedKeys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of keys")
            }

            fn visit_unit<E>(self) -> Result<OrderedKeys, E> {
                Ok(OrderedKeys::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<OrderedKeys, A::Error> {
                let mut keys = Vec::new();
                while let Some(member) = members.next_entry()? {
                    keys.push(member);
                }
                Ok(OrderedKeys(keys))
            }
        }

        deserializer.deserialize_any(Keys)
    }
}

impl OrderedKeys {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// One key, checked; `n` is its place in the upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct OneTimeKey {
    pub n: usize,
    pub algorithm: String,
    pub key_id: String,
    /// Canonical: the same key is the same text.
    pub json: String,
}

/// Whose keys they are, and the key that must have signed them where the device has one.
pub(super) struct Owner<'a> {
    pub user_id: &'a UserId,
    pub device_id: &'a DeviceId,
    pub signing_key: Option<&'a str>,
}

/// `M_BAD_JSON` ← neither text nor a key object · `M_INVALID_PARAM` ← a bad or repeated id · `M_TOO_LARGE` ← over 16 KiB ·
/// `M_INVALID_SIGNATURE` ← a signed key that the device has not signed
pub(super) fn check_keys(keys: &OrderedKeys, owner: &Owner<'_>) -> Result<Vec<OneTimeKey>, AuthError> {
    let checked = keys.0.iter().enumerate().map(|(n, (id, json))| check_key(n, id, json.get(), owner));
    let checked: Vec<OneTimeKey> = checked.collect::<Result<_, _>>()?;
    let mut ids: Vec<_> = checked.iter().map(|key| (&key.algorithm, &key.key_id)).collect();
    ids.sort_unstable();
    if ids.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(AuthError::InvalidParam("a key id occurs twice".to_owned()));
    }
    Ok(checked)
}

fn check_key(n: usize, id: &str, json: &str, owner: &Owner<'_>) -> Result<OneTimeKey, AuthError> {
    let parts = id.split_once(':').filter(|(algorithm, key_id)| !algorithm.is_empty() && !key_id.is_empty());
    let Some((algorithm, key_id)) = parts.filter(|_| id.len() <= MAX_ID_BYTES) else {
        return Err(AuthError::InvalidParam(
            "the id of a key is `<algorithm>:<key id>`, of at most 255 bytes".to_owned(),
        ));
    };
    if json.len() > MAX_KEY_BYTES {
        return Err(AuthError::TooLarge("a one-time key has at most 16 KiB"));
    }
    let json = if algorithm == SIGNED_CURVE25519 {
        check_signed(json, owner)?
    } else if json.starts_with('{') {
        SignedObject::parse(json, MAX_KEY_BYTES)?.into_json()
    } else {
        let text: String = serde_json::from_str(json)
            .map_err(|_| AuthError::BadJson("a one-time key is a string or an object".to_owned()))?;
        Value::from(text).to_string()
    };
    Ok(OneTimeKey { n, algorithm: algorithm.to_owned(), key_id: key_id.to_owned(), json })
}

fn check_signed(json: &str, owner: &Owner<'_>) -> Result<String, AuthError> {
    let key = SignedObject::parse(json, MAX_KEY_BYTES)?;
    if key.text("key").and_then(PublicKey::parse).is_none() {
        return Err(AuthError::InvalidParam(
            "a signed_curve25519 key needs `key`, 32 bytes in unpadded Base64".to_owned(),
        ));
    }
    if let Some(signing_key) = owner.signing_key {
        let verdict = key.verify(owner.user_id.as_str(), &format!("ed25519:{}", owner.device_id), signing_key);
        if verdict != Verdict::Valid {
            return Err(AuthError::InvalidSignature("a one-time key is not signed by the device".to_owned()));
        }
    }
    Ok(key.into_json())
}
