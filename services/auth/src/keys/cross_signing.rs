//! Cross-signing keys: <https://spec.matrix.org/v1.19/client-server-api/#cross-signing>

use std::collections::BTreeMap;

use ruma::{CanonicalJsonValue, UserId};

use super::signed::{PublicKey, SignedObject, Verdict};
use crate::{
    error::AuthError,
    outbox::{self, Outbox},
    state::Auth,
    store::{
        cross_signing::{self, CrossSigningRow},
        device_keys,
    },
};

const MAX_BYTES: usize = 32 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Usage {
    Master,
    SelfSigning,
    UserSigning,
}

impl Usage {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::SelfSigning => "self_signing",
            Self::UserSigning => "user_signing",
        }
    }
}

/// A cross-signing key, checked by itself.
#[derive(Clone, Debug)]
pub(super) struct CrossSigningKey {
    pub public_key: String,
    pub object: SignedObject,
}

/// The keys of one request.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewKeys(BTreeMap<Usage, CrossSigningKey>);

/// What became of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Published {
    Done,
    /// It would replace or add to published keys: the user must authenticate.
    NeedsAuthentication,
}

impl NewKeys {
    /// `M_BAD_JSON`, `M_INVALID_PARAM` ← not a cross-signing key of this user and usage
    pub(crate) fn add(&mut self, usage: Usage, json: &str, user_id: &UserId) -> Result<(), AuthError> {
        self.0.insert(usage, CrossSigningKey::check(usage, json, user_id)?);
        Ok(())
    }
}

impl CrossSigningKey {
    fn check(usage: Usage, json: &str, user_id: &UserId) -> Result<Self, AuthError> {
        let invalid = |what: &str| Err(AuthError::InvalidParam(format!("the {} key: {what}", usage.as_str())));
        let mut object = SignedObject::parse(json, MAX_BYTES)?;
        if object.text("user_id") != Some(user_id.as_str()) {
            return invalid("`user_id` is not the requester");
        }
        let usages = object.0.get("usage").and_then(CanonicalJsonValue::as_array).unwrap_or_default();
        if !usages.iter().any(|name| name.as_str() == Some(usage.as_str())) {
            return invalid("`usage` does not name it");
        }
        let public_key = match object.keys().as_deref() {
            Some([(id, key)]) if id.strip_prefix("ed25519:") == Some(*key) && PublicKey::parse(key).is_some() => {
                (*key).to_owned()
            }
            _ => return invalid("`keys` must hold one Ed25519 key, named by itself"),
        };
        object.0.remove("unsigned");
        keep_own_signatures(&mut object, user_id);
        Ok(Self { public_key, object })
    }

    pub(super) fn from_row(row: &CrossSigningRow) -> Result<Self, AuthError> {
        let object = SignedObject::parse(&row.json, usize::MAX)
            .map_err(|error| AuthError::Internal(format!("a cross-signing key: {error}")))?;
        Ok(Self { public_key: row.public_key.clone(), object })
    }

    pub(super) fn key_id(&self) -> String {
        format!("ed25519:{}", self.public_key)
    }
}

/// Whatever others signed is not for everybody's eyes.
fn keep_own_signatures(object: &mut SignedObject, user_id: &UserId) {
    let own: Vec<(String, String)> = object
        .signatures_of(user_id.as_str())
        .into_iter()
        .map(|(id, signature)| (id.to_owned(), signature.to_owned()))
        .collect();
    object.0.remove("signatures");
    for (id, signature) in own {
        object.add_signature(user_id.as_str(), &id, &signature);
    }
}

/// Publishes keys. The first ones need no `confirmed` authentication, nor do the same ones again.
///
/// `M_MISSING_PARAM` ← no master key is known · `M_INVALID_SIGNATURE` ← not signed by the master key · `M_FORBIDDEN` ← a
/// key is the id of one of the user's devices
pub(crate) async fn publish(
    auth: &Auth,
    user_id: &UserId,
    new: &NewKeys,
    confirmed: bool,
) -> Result<Published, AuthError> {
    let mut tx = auth.db.begin().await?;
    let account = cross_signing::lock_account(&mut tx, user_id.as_str()).await?;
    let account = account.ok_or_else(|| AuthError::UnknownUser(user_id.to_string()))?;
    let stored = cross_signing::list_keys(&mut tx, account).await?;
    check_signatures(user_id, new, find(&stored, Usage::Master))?;
    let changed: Vec<Usage> =
        new.0.iter().filter(|(usage, key)| !is_same(key, find(&stored, **usage))).map(|(usage, _)| *usage).collect();
    if changed.is_empty() {
        return Ok(Published::Done);
    }
    if find(&stored, Usage::Master).is_some() && !confirmed {
        return Ok(Published::NeedsAuthentication);
    }
    let public_keys: Vec<&str> = new.0.values().map(|key| key.public_key.as_str()).collect();
    if device_keys::any_device(&mut tx, user_id.as_str(), &public_keys).await? {
        return Err(AuthError::Forbidden("a key is named like a device"));
    }
    for usage in &changed {
        let key = &new.0[usage];
        let json = key.object.clone().into_json();
        let row = CrossSigningRow { usage: usage.as_str().to_owned(), public_key: key.public_key.clone(), json };
        cross_signing::upsert_key(&mut tx, account, &row).await?;
    }
    forget_obsolete(&mut tx, account, user_id, new, &stored).await?;
    let mut outbox = Outbox::default();
    if changed == [Usage::UserSigning] {
        outbox.signed_by(user_id, user_id);
    } else {
        outbox.cross_signing_changed(user_id);
    }
    outbox::commit(auth, tx, outbox).await?;
    Ok(Published::Done)
}

fn find(stored: &[CrossSigningRow], usage: Usage) -> Option<&CrossSigningRow> {
    stored.iter().find(|row| row.usage == usage.as_str())
}

/// The same key, and nothing new about it: signatures may have been added since.
fn is_same(key: &CrossSigningKey, stored: Option<&CrossSigningRow>) -> bool {
    let stored = stored.and_then(|row| SignedObject::parse(&row.json, usize::MAX).ok());
    stored.is_some_and(|stored| stored.signed_part() == key.object.signed_part())
}

fn check_signatures(user_id: &UserId, new: &NewKeys, stored: Option<&CrossSigningRow>) -> Result<(), AuthError> {
    let master = new.0.get(&Usage::Master).map(|key| key.public_key.as_str());
    let Some(master) = master.or(stored.map(|row| row.public_key.as_str())) else {
        return Err(AuthError::MissingParam("there is no master key"));
    };
    for (usage, key) in new.0.iter().filter(|(usage, _)| **usage != Usage::Master) {
        if key.object.verify(user_id.as_str(), &format!("ed25519:{master}"), master) != Verdict::Valid {
            let usage = usage.as_str();
            return Err(AuthError::InvalidSignature(format!("the {usage} key is not signed by the master key")));
        }
    }
    Ok(())
}

/// A new master key has signed none of the other keys that are not in the same request, and nobody has signed it; what
/// an older user-signing key signed is worth nothing.
async fn forget_obsolete(
    tx: &mut matrixon_store::Tx,
    account: i64,
    user_id: &UserId,
    new: &NewKeys,
    stored: &[CrossSigningRow],
) -> Result<(), AuthError> {
    let replaced = |usage: Usage| {
        let (new, old) = (new.0.get(&usage), find(stored, usage));
        new.zip(old).is_some_and(|(new, old)| new.public_key != old.public_key)
    };
    let mut user_signing_gone = replaced(Usage::UserSigning);
    if replaced(Usage::Master) {
        cross_signing::delete_signatures_of(tx, user_id.as_str()).await?;
        for usage in [Usage::SelfSigning, Usage::UserSigning] {
            if !new.0.contains_key(&usage) {
                cross_signing::delete_key(tx, account, usage.as_str()).await?;
                user_signing_gone |= usage == Usage::UserSigning;
            }
        }
    }
    if user_signing_gone {
        cross_signing::delete_signatures_by(tx, account).await?;
    }
    Ok(())
}
