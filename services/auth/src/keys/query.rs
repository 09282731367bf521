//! Identity and cross-signing keys of users, as `/keys/query` answers them: stored JSON, spliced.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use ruma::{OwnedDeviceId, OwnedUserId, UserId};

use super::{
    claim::build_failures,
    json::{ObjectWriter, text},
    signed::SignedObject,
};
use crate::{
    error::AuthError,
    state::Auth,
    store::{
        cross_signing::{self, VisibleKeyRow},
        device_keys::{self, DeviceKeysRow},
    },
};

/// Whose keys are wanted, and of which devices; none means all.
pub(crate) type Queried = BTreeMap<OwnedUserId, Vec<OwnedDeviceId>>;

/// The answer to `/keys/query`. Local users without keys have an empty object, so that "no devices" can be told from
/// "no answer".
pub(crate) async fn query(auth: &Auth, viewer: &UserId, queried: &Queried) -> Result<Bytes, AuthError> {
    let local: Vec<&UserId> = queried
        .keys()
        .map(AsRef::as_ref)
        .filter(|user_id: &&UserId| user_id.server_name() == auth.server_name)
        .collect();
    let (devices, keys) = if local.is_empty() {
        (Vec::new(), Vec::new())
    } else {
        let users: serde_json::Value = local.iter().map(|user_id| user_id.as_str()).collect();
        let users = users.to_string();
        tokio::try_join!(
            device_keys::load_device_keys(&auth.db, &users),
            cross_signing::load_visible_keys(&auth.db, viewer.as_str(), &users),
        )?
    };
    let mut answer = ObjectWriter::new();
    answer.member("device_keys", &build_devices(&local, queried, &devices));
    for (name, usage) in
        [("master_keys", "master"), ("self_signing_keys", "self_signing"), ("user_signing_keys", "user_signing")]
    {
        answer.member(name, &build_keys(&keys, usage, viewer));
    }
    let remote = queried.keys().map(|user_id| user_id.server_name()).filter(|server| *server != auth.server_name);
    answer.member("failures", &build_failures(remote));
    Ok(answer.finish().into())
}

fn build_devices(local: &[&UserId], queried: &Queried, rows: &[DeviceKeysRow]) -> String {
    let by_user: HashMap<&str, &[DeviceKeysRow]> =
        rows.chunk_by(|a, b| a.user_id == b.user_id).map(|of_user| (of_user[0].user_id.as_str(), of_user)).collect();
    let bytes: usize = rows.iter().map(|row| row.json.len() + 128).sum();
    let mut users = ObjectWriter::with_capacity(bytes + 64 * local.len());
    for user_id in local {
        let wanted = queried.get(*user_id).map_or(&[][..], Vec::as_slice);
        let mut devices = ObjectWriter::new();
        for row in by_user.get(user_id.as_str()).copied().unwrap_or_default() {
            if wanted.is_empty() || wanted.iter().any(|device_id| device_id.as_str() == row.device_id) {
                let unsigned = match &row.display_name {
                    None => "{}".to_owned(),
                    Some(name) => format!(r#"{{"device_display_name":{}}}"#, text(name)),
                };
                devices.member_with(&row.device_id, &row.json, ("unsigned", &unsigned));
            }
        }
        users.member(user_id.as_str(), &devices.finish());
    }
    users.finish()
}

fn build_keys(rows: &[VisibleKeyRow], usage: &str, viewer: &UserId) -> String {
    let mut users = ObjectWriter::new();
    let of_usage: Vec<&VisibleKeyRow> = rows.iter().filter(|row| row.usage == usage).collect();
    for of_user in of_usage.chunk_by(|a, b| a.user_id == b.user_id) {
        let row = of_user[0];
        let signatures: Vec<(&str, &str)> =
            of_user.iter().filter_map(|row| row.key_id.as_deref().zip(row.signature.as_deref())).collect();
        if signatures.is_empty() {
            users.member(&row.user_id, &row.json);
        } else if let Ok(mut object) = SignedObject::parse(&row.json, usize::MAX) {
            for (key_id, signature) in signatures {
                object.add_signature(viewer.as_str(), key_id, signature);
            }
            users.member(&row.user_id, &object.into_json());
        }
    }
    users.finish()
}
