//! Signatures of devices and cross-signing keys that clients make and publish. What does not fit is told key by key.

use std::collections::BTreeMap;

use matrixon_store::Tx;
use ruma::{DeviceId, UserId};
use serde_json::{Map, Value, json, value::RawValue};

use super::{
    cross_signing::{CrossSigningKey, Usage},
    device_keys::DeviceKeys,
    signed::{SignedObject, Verdict, verify},
};
use crate::{
    error::AuthError,
    outbox::{self, Outbox},
    state::Auth,
    store::{
        cross_signing::{self, UserSignature},
        device_keys::{self, LockedDevice},
    },
};

const MAX_KEYS: usize = 2_000;
const MAX_BYTES: usize = 64 * 1024;

/// Signed objects by user and by key: a device id, or a public master key.
pub(crate) type SignedKeys = BTreeMap<String, BTreeMap<String, Box<RawValue>>>;

/// Why one key was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Failure {
    errcode: &'static str,
    message: &'static str,
}

const UNKNOWN: Failure = Failure { errcode: "M_NOT_FOUND", message: "there is no such device or key" };
const OTHER: Failure =
    Failure { errcode: "M_INVALID_SIGNATURE", message: "what is signed is not the key that is known" };
const UNSIGNED: Failure =
    Failure { errcode: "M_INVALID_SIGNATURE", message: "there is no signature by a key that may sign it" };
const WRONG: Failure = Failure { errcode: "M_INVALID_SIGNATURE", message: "the signature is not valid" };

#[derive(Debug, Default)]
pub(crate) struct Failures(BTreeMap<String, BTreeMap<String, Failure>>);

impl Failures {
    fn add(&mut self, user_id: &str, key: &str, failure: Failure) {
        self.0.entry(user_id.to_owned()).or_default().insert(key.to_owned(), failure);
    }

    /// The answer to `/keys/signatures/upload`.
    pub(crate) fn to_json(&self) -> Value {
        let of_user = |failures: &BTreeMap<String, Failure>| {
            let failures = failures
                .iter()
                .map(|(key, failure)| (key.clone(), json!({ "errcode": failure.errcode, "error": failure.message })));
            Value::Object(failures.collect())
        };
        let failures: Map<String, Value> =
            self.0.iter().map(|(user_id, failures)| (user_id.clone(), of_user(failures))).collect();
        json!({ "failures": failures })
    }
}

/// What the signer has to sign with, all of it locked.
struct Signer<'a> {
    user_id: &'a UserId,
    account: i64,
    keys: BTreeMap<&'static str, CrossSigningKey>,
    devices: BTreeMap<String, (LockedDevice, DeviceKeys)>,
}

/// Stores what is valid, and tells what is not.
///
/// `M_INVALID_PARAM` ← more than 2,000 keys
pub(crate) async fn upload(auth: &Auth, user_id: &UserId, signed: &SignedKeys) -> Result<Failures, AuthError> {
    if signed.values().map(BTreeMap::len).sum::<usize>() > MAX_KEYS {
        return Err(AuthError::InvalidParam(format!("at most {MAX_KEYS} signed keys can be uploaded at once")));
    }
    let (mut failures, mut outbox) = (Failures::default(), Outbox::default());
    let mut tx = auth.db.begin().await?;
    let mut signer = Signer::load(&mut tx, user_id, signed).await?;
    if let Some(own) = signed.get(user_id.as_str()) {
        for (key, json) in own {
            let stored = signer.sign_own(&mut tx, &mut outbox, key, json.get()).await?;
            if let Err(failure) = stored {
                failures.add(user_id.as_str(), key, failure);
            }
        }
    }
    let others: Vec<&str> = signed.keys().map(String::as_str).filter(|other| *other != user_id.as_str()).collect();
    if !others.is_empty() {
        let masters = cross_signing::load_master_keys(&mut tx, &others).await?;
        let masters: BTreeMap<&str, (&str, &str)> =
            masters.iter().map(|(user, key, json)| (user.as_str(), (key.as_str(), json.as_str()))).collect();
        for other in others {
            for (key, json) in &signed[other] {
                let master = masters.get(other).copied().filter(|(master, _)| master == key);
                let stored = signer.sign_other(&mut tx, &mut outbox, (other, master), json.get()).await?;
                if let Err(failure) = stored {
                    failures.add(other, key, failure);
                }
            }
        }
    }
    outbox::commit(auth, tx, outbox).await?;
    Ok(failures)
}

impl<'a> Signer<'a> {
    async fn load(tx: &mut Tx, user_id: &'a UserId, signed: &SignedKeys) -> Result<Self, AuthError> {
        let account = cross_signing::lock_account(tx, user_id.as_str()).await?;
        let account = account.ok_or_else(|| AuthError::UnknownUser(user_id.to_string()))?;
        let mut keys = BTreeMap::new();
        for row in cross_signing::list_keys(tx, account).await? {
            for usage in [Usage::Master, Usage::SelfSigning, Usage::UserSigning] {
                if usage.as_str() == row.usage {
                    keys.insert(usage.as_str(), CrossSigningKey::from_row(&row)?);
                }
            }
        }
        // devices that are signed, and devices that sign the master key
        let mut wanted: Vec<String> = Vec::new();
        for (key, json) in signed.get(user_id.as_str()).into_iter().flatten() {
            wanted.push(key.clone());
            if let Ok(object) = SignedObject::parse(json.get(), MAX_BYTES) {
                let signers = object.signatures_of(user_id.as_str());
                wanted.extend(signers.into_iter().filter_map(|(id, _)| id.strip_prefix("ed25519:").map(str::to_owned)));
            }
        }
        let mut devices = BTreeMap::new();
        if !wanted.is_empty() {
            let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
            for device in device_keys::lock_devices(tx, user_id.as_str(), &wanted).await? {
                if let Some(json) = &device.json {
                    let keys = DeviceKeys::read(json)?;
                    devices.insert(device.device_id.clone(), (device, keys));
                }
            }
        }
        Ok(Self { user_id, account, keys, devices })
    }

    /// A device of the signer by its self-signing key, or its master key by its devices.
    async fn sign_own(
        &mut self,
        tx: &mut Tx,
        outbox: &mut Outbox,
        key: &str,
        json: &str,
    ) -> Result<Result<(), Failure>, AuthError> {
        let Ok(signed) = SignedObject::parse(json, MAX_BYTES) else { return Ok(Err(OTHER)) };
        let user = self.user_id.as_str();
        if self.keys.get(Usage::Master.as_str()).is_some_and(|master| master.public_key == key) {
            return self.sign_own_master(tx, outbox, &signed).await;
        }
        let Some((device, stored)) = self.devices.get(key) else { return Ok(Err(UNKNOWN)) };
        let signatures = match self.keys.get(Usage::SelfSigning.as_str()) {
            None => return Ok(Err(UNSIGNED)),
            Some(own) => check(stored.object(), &signed, user, &[(own.key_id(), own.public_key.clone())]),
        };
        let signatures = match signatures {
            Err(failure) => return Ok(Err(failure)),
            Ok(signatures) => signatures,
        };
        let mut object = stored.clone().into_object();
        for (key_id, signature) in signatures {
            object.add_signature(user, &key_id, &signature);
        }
        let json = object.into_json();
        if Some(&json) != device.json.as_ref() {
            device_keys::upsert_device_keys(tx, device.id, &json).await?;
            outbox.device_changed(self.user_id, key);
        }
        Ok(Ok(()))
    }

    async fn sign_own_master(
        &mut self,
        tx: &mut Tx,
        outbox: &mut Outbox,
        signed: &SignedObject,
    ) -> Result<Result<(), Failure>, AuthError> {
        let user = self.user_id.as_str();
        let signers: Vec<(String, String)> = self
            .devices
            .iter()
            .filter_map(|(device_id, (_, keys))| {
                let key = keys.signing_key(<&DeviceId>::from(device_id.as_str()))?;
                Some((format!("ed25519:{device_id}"), key.to_owned()))
            })
            .collect();
        let Some(master) = self.keys.get_mut(Usage::Master.as_str()) else { return Ok(Err(UNKNOWN)) };
        let signatures = match check(&master.object, signed, user, &signers) {
            Err(failure) => return Ok(Err(failure)),
            Ok(signatures) => signatures,
        };
        let before = master.object.clone();
        for (key_id, signature) in signatures {
            master.object.add_signature(user, &key_id, &signature);
        }
        if master.object != before {
            let row = cross_signing::CrossSigningRow {
                usage: Usage::Master.as_str().to_owned(),
                public_key: master.public_key.clone(),
                json: master.object.clone().into_json(),
            };
            cross_signing::upsert_key(tx, self.account, &row).await?;
            outbox.cross_signing_changed(self.user_id);
        }
        Ok(Ok(()))
    }

    /// Another user's master key by the signer's user-signing key.
    async fn sign_other(
        &self,
        tx: &mut Tx,
        outbox: &mut Outbox,
        (other, master): (&str, Option<(&str, &str)>),
        json: &str,
    ) -> Result<Result<(), Failure>, AuthError> {
        let (Some((target_key, stored)), Ok(other_id)) = (master, <&UserId>::try_from(other)) else {
            return Ok(Err(UNKNOWN));
        };
        let Some(own) = self.keys.get(Usage::UserSigning.as_str()) else { return Ok(Err(UNSIGNED)) };
        let Ok(signed) = SignedObject::parse(json, MAX_BYTES) else { return Ok(Err(OTHER)) };
        let stored = SignedObject::parse(stored, usize::MAX)?;
        let signatures = check(&stored, &signed, self.user_id.as_str(), &[(own.key_id(), own.public_key.clone())]);
        let signatures = match signatures {
            Err(failure) => return Ok(Err(failure)),
            Ok(signatures) => signatures,
        };
        for (key_id, signature) in signatures {
            let row = UserSignature {
                signer: self.account,
                target_user_id: other,
                target_key,
                key_id: &key_id,
                signature: &signature,
            };
            if cross_signing::upsert_signature(tx, &row).await? {
                outbox.signed_by(other_id, self.user_id);
            }
        }
        Ok(Ok(()))
    }
}

/// The new signatures on `signed` by `signers` (key id, key). All of the requester's signatures that are new must be by
/// one of them and valid, and there must be one.
fn check(
    stored: &SignedObject,
    signed: &SignedObject,
    user_id: &str,
    signers: &[(String, String)],
) -> Result<Vec<(String, String)>, Failure> {
    let what = stored.signed_part();
    if what != signed.signed_part() {
        return Err(OTHER);
    }
    let known = stored.signatures_of(user_id);
    let (mut new, mut any) = (Vec::new(), false);
    for (key_id, signature) in signed.signatures_of(user_id) {
        if known.contains(&(key_id, signature)) {
            any |= signers.iter().any(|(signer, _)| signer == key_id);
            continue;
        }
        let Some((_, key)) = signers.iter().find(|(signer, _)| signer == key_id) else { return Err(UNSIGNED) };
        if verify(&what, signature, key) != Verdict::Valid {
            return Err(WRONG);
        }
        new.push((key_id.to_owned(), signature.to_owned()));
    }
    if new.is_empty() && !any { Err(UNSIGNED) } else { Ok(new) }
}
