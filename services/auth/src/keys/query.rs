//! Identity and cross-signing keys of users, as `/keys/query` answers them: stored JSON, spliced.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use ruma::{OwnedDeviceId, OwnedUserId, UserId};

use super::{claim::build_failures, json::ObjectWriter, keyring::UserKeys, signed::SignedObject};
use crate::{
    error::AuthError,
    state::Auth,
    store::cross_signing::{self, SignatureRow},
};

/// Users that one request may ask for.
const MAX_USERS: usize = 10_000;

/// Whose keys are wanted, and of which devices; none means all.
pub(crate) type Queried = BTreeMap<OwnedUserId, Vec<OwnedDeviceId>>;

/// The answer to `/keys/query`. Local users without keys have an empty object, so that "no devices" can be told from
/// "no answer".
///
/// `M_INVALID_PARAM` ← more than 10,000 users
pub(crate) async fn query(auth: &Auth, viewer: &UserId, queried: &Queried) -> Result<Bytes, AuthError> {
    if queried.len() > MAX_USERS {
        return Err(AuthError::InvalidParam(format!("the keys of at most {MAX_USERS} users can be asked for at once")));
    }
    let local: Vec<&UserId> = queried
        .keys()
        .map(AsRef::as_ref)
        .filter(|user_id: &&UserId| user_id.server_name() == auth.server_name)
        .collect();
    let (keys, signatures) = if local.is_empty() {
        (Vec::new(), Vec::new())
    } else {
        tokio::try_join!(
            auth.keyring.load(&auth.db, &local),
            cross_signing::list_signatures(&auth.db, viewer.as_str()),
        )?
    };
    let keys: Vec<(&UserId, &UserKeys)> = local.into_iter().zip(keys.iter().map(AsRef::as_ref)).collect();
    let mut answer = ObjectWriter::with_capacity(keys.iter().map(|(_, keys)| keys.all_devices.len() + 1_024).sum());
    answer.member("device_keys", &build_devices(&keys, queried));
    answer.member("master_keys", &build_master_keys(&keys, &signatures, viewer));
    answer.member("self_signing_keys", &build(&keys, |_, keys| keys.self_signing.as_deref()));
    // nobody else's business
    answer.member(
        "user_signing_keys",
        &build(&keys, |user_id, keys| keys.user_signing.as_deref().filter(|_| user_id == viewer)),
    );
    let remote = queried.keys().map(|user_id| user_id.server_name()).filter(|server| *server != auth.server_name);
    answer.member("failures", &build_failures(remote));
    Ok(answer.finish().into())
}

fn build_devices(keys: &[(&UserId, &UserKeys)], queried: &Queried) -> String {
    let bytes: usize = keys.iter().map(|(user_id, keys)| user_id.as_str().len() + keys.all_devices.len() + 8).sum();
    let mut users = ObjectWriter::with_capacity(bytes);
    for (user_id, keys) in keys {
        match queried.get(*user_id).map_or(&[][..], Vec::as_slice) {
            [] => users.member(user_id.as_str(), &keys.all_devices),
            wanted => users.member(user_id.as_str(), &keys.only(|device_id| wanted.iter().any(|one| one == device_id))),
        }
    }
    users.finish()
}

fn build<'a>(keys: &[(&UserId, &'a UserKeys)], choose: impl Fn(&UserId, &'a UserKeys) -> Option<&'a str>) -> String {
    let mut users = ObjectWriter::new();
    for (user_id, keys) in keys {
        if let Some(json) = choose(user_id, keys) {
            users.member(user_id.as_str(), json);
        }
    }
    users.finish()
}

/// With the signatures that the viewer made of them.
fn build_master_keys(keys: &[(&UserId, &UserKeys)], signatures: &[SignatureRow], viewer: &UserId) -> String {
    let by_user: HashMap<&str, &[SignatureRow]> = signatures
        .chunk_by(|a, b| a.target_user_id == b.target_user_id)
        .map(|of_user| (of_user[0].target_user_id.as_str(), of_user))
        .collect();
    let mut users = ObjectWriter::new();
    for (user_id, keys) in keys {
        let Some((public_key, json)) = &keys.master else { continue };
        let of_user = by_user.get(user_id.as_str()).copied().unwrap_or_default();
        let of_key: Vec<_> = of_user.iter().filter(|row| *row.target_key == **public_key).collect();
        if of_key.is_empty() {
            users.member(user_id.as_str(), json);
        } else if let Ok(mut object) = SignedObject::parse(json, usize::MAX) {
            for row in of_key {
                object.add_signature(viewer.as_str(), &row.key_id, &row.signature);
            }
            users.member(user_id.as_str(), &object.into_json());
        }
    }
    users.finish()
}
