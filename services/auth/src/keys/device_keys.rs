//! Identity keys of a device: <https://spec.matrix.org/v1.19/client-server-api/#device-keys>

use ruma::{CanonicalJsonValue, DeviceId, UserId};

use super::signed::{PublicKey, SignedObject, Verdict};
use crate::error::AuthError;

const MAX_BYTES: usize = 64 * 1024;

/// The identity keys of a device, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DeviceKeys(SignedObject);

impl DeviceKeys {
    /// What a client uploads.
    ///
    /// `M_BAD_JSON` ← a member is missing or of a wrong type · `M_INVALID_PARAM` ← not of this user and device, or an
    /// algorithm without its key · `M_INVALID_SIGNATURE` ← not signed by the device's Ed25519 key
    pub(super) fn check(json: &str, user_id: &UserId, device_id: &DeviceId) -> Result<Self, AuthError> {
        let mut keys = Self(SignedObject::parse(json, MAX_BYTES)?);
        keys.check_shape()?;
        if keys.0.text("user_id") != Some(user_id.as_str()) || keys.0.text("device_id") != Some(device_id.as_str()) {
            return Err(AuthError::InvalidParam("the keys are not those of this user and device".to_owned()));
        }
        keys.check_algorithms(device_id)?;
        keys.check_signature(user_id, device_id)?;
        keys.0.0.remove("unsigned");
        Ok(keys)
    }

    /// What is stored.
    pub(super) fn read(json: &str) -> Result<Self, AuthError> {
        SignedObject::parse(json, usize::MAX)
            .map(Self)
            .map_err(|error| AuthError::Internal(format!("device keys: {error}")))
    }

    fn check_shape(&self) -> Result<(), AuthError> {
        let bad = |what: &str| Err(AuthError::BadJson(format!("device_keys: {what}")));
        if self.0.text("user_id").is_none() || self.0.text("device_id").is_none() {
            return bad("`user_id` and `device_id` must be strings");
        }
        let algorithms = self.0.0.get("algorithms").and_then(CanonicalJsonValue::as_array);
        if !algorithms.is_some_and(|algorithms| algorithms.iter().all(CanonicalJsonValue::is_string)) {
            return bad("`algorithms` must be an array of strings");
        }
        let Some(keys) = self.0.keys() else { return bad("`keys` must be an object of strings") };
        if keys
            .iter()
            .any(|(id, _)| id.split_once(':').is_none_or(|(algorithm, name)| algorithm.is_empty() || name.is_empty()))
        {
            return bad("`keys` must be named `<algorithm>:<device id>`");
        }
        let is_text = |value: &CanonicalJsonValue| value.is_string();
        let of_user = |value: &CanonicalJsonValue| value.as_object().is_some_and(|all| all.values().all(is_text));
        let signatures = self.0.0.get("signatures").and_then(CanonicalJsonValue::as_object);
        if !signatures.is_some_and(|signatures| signatures.values().all(of_user)) {
            return bad("`signatures` must be an object of objects of strings");
        }
        Ok(())
    }

    /// A device that says it speaks Olm has its Curve25519 key, where it has keys of its own at all.
    fn check_algorithms(&self, device_id: &DeviceId) -> Result<(), AuthError> {
        const OLM: &str = "m.olm.v1.curve25519-aes-sha2";
        let algorithms = self.0.0.get("algorithms").and_then(CanonicalJsonValue::as_array).unwrap_or_default();
        let speaks_olm = algorithms.iter().any(|algorithm| algorithm.as_str() == Some(OLM));
        let signs = self.0.key(&format!("ed25519:{device_id}")).and_then(PublicKey::parse).is_some();
        if speaks_olm && signs && self.0.key(&format!("curve25519:{device_id}")).is_none() {
            return Err(AuthError::InvalidParam("Olm needs a curve25519 key".to_owned()));
        }
        Ok(())
    }

    /// Where there is an Ed25519 key, it must have signed. Placeholders that are not keys or signatures at all pass, as
    /// they do elsewhere: other clients ignore such a device.
    fn check_signature(&self, user_id: &UserId, device_id: &DeviceId) -> Result<(), AuthError> {
        let key_id = format!("ed25519:{device_id}");
        let signatures = self.0.signatures_of(user_id.as_str());
        if !signatures.is_empty() && !signatures.iter().any(|(id, _)| *id == key_id) {
            return Err(AuthError::InvalidSignature("the device's own key has not signed".to_owned()));
        }
        let verdict = self.verdict(user_id, device_id);
        let signs = self.0.key(&key_id).and_then(PublicKey::parse).is_some();
        match verdict {
            Verdict::Missing if signs => {
                Err(AuthError::InvalidSignature("the device's own key has not signed".to_owned()))
            }
            Verdict::Wrong => {
                Err(AuthError::InvalidSignature("the signature is not one of the device's own key".to_owned()))
            }
            Verdict::Missing | Verdict::Unreadable | Verdict::Valid => Ok(()),
        }
    }

    fn verdict(&self, user_id: &UserId, device_id: &DeviceId) -> Verdict {
        let key_id = format!("ed25519:{device_id}");
        match self.0.key(&key_id) {
            None => Verdict::Missing,
            Some(key) => self.0.verify(user_id.as_str(), &key_id, key),
        }
    }

    /// The key that signs for the device, where it is one.
    pub(super) fn signing_key(&self, device_id: &DeviceId) -> Option<&str> {
        self.0.key(&format!("ed25519:{device_id}")).filter(|key| PublicKey::parse(key).is_some())
    }

    /// What to store when these keys replace `stored`: the cross-signatures stay as long as they sign the same. Clients
    /// take other identity keys of a known device for an attack, so those that were proven can only go with the device.
    ///
    /// `M_INVALID_PARAM` ← the device has other identity keys
    pub(super) fn replacing(self, stored: &Self, user_id: &UserId, device_id: &DeviceId) -> Result<Self, AuthError> {
        if self.0.signed_part() == stored.0.signed_part() {
            let mut merged = stored.0.clone();
            for (key_id, signature) in self.0.signatures_of(user_id.as_str()) {
                merged.add_signature(user_id.as_str(), key_id, signature);
            }
            return Ok(Self(merged));
        }
        if stored.verdict(user_id, device_id) == Verdict::Valid && self.0.0.get("keys") != stored.0.0.get("keys") {
            return Err(AuthError::InvalidParam(
                "the device has other identity keys; log in as a new device".to_owned(),
            ));
        }
        Ok(self)
    }

    pub(super) fn object(&self) -> &SignedObject {
        &self.0
    }

    pub(super) fn into_object(self) -> SignedObject {
        self.0
    }

    pub(super) fn into_json(self) -> String {
        self.0.into_json()
    }
}
