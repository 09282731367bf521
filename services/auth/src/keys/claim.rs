//! Giving out one-time keys. [`crate::store::claims`] says why none is given twice.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use futures::future::try_join_all;
use matrixon_runtime::random;
use matrixon_store::{StoreError, streams::AppendError};
use ruma::{OneTimeKeyAlgorithm, OwnedDeviceId, OwnedUserId, ServerName, UserId};
use serde_json::{Value, json};

use super::{
    claim_writer::Nothing,
    json::{ObjectWriter, push_text},
};
use crate::{
    error::AuthError,
    outbox::{self, Outbox},
    state::Auth,
    store::{
        claims::{Claim, Given},
        one_time_keys,
    },
};

/// Keys that one request may ask for.
const MAX_WANTED: usize = 5_000;
/// How often a deadlock with a deletion of the same devices is tried again.
const MAX_TRIES: usize = 5;

/// What a client wants: for each device, a key of an algorithm.
pub(crate) type Wanted = BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, OneTimeKeyAlgorithm>>;

struct WantedKey<'a> {
    user_id: &'a UserId,
    device_id: &'a str,
    algorithm: &'a str,
    /// The device's interned number. None: there is no such device.
    device: Option<i64>,
}

/// In the order of the devices that gave them.
type GivenKeys = Vec<Given>;

/// The answer to `/keys/claim`: what has no key left is not in it.
///
/// `M_INVALID_PARAM` ← more than 5,000 keys
pub(crate) async fn claim(auth: &Auth, wanted: &Wanted, idempotency_key: &str) -> Result<Bytes, AuthError> {
    let local = |user_id: &OwnedUserId| user_id.server_name() == auth.server_name;
    let number: usize = wanted.iter().filter(|(user_id, _)| local(user_id)).map(|(_, devices)| devices.len()).sum();
    if number > MAX_WANTED {
        return Err(AuthError::InvalidParam(format!("at most {MAX_WANTED} keys can be claimed at once")));
    }
    let keys = find_devices(auth, wanted.iter().filter(|(user_id, _)| local(user_id))).await?;
    let request = if idempotency_key.is_empty() { random::id(22) } else { idempotency_key.to_owned() };
    let mut parts: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for key in &keys {
        if let Some(device) = key.device {
            parts.entry(key.algorithm).or_default().push(device);
        }
    }
    let given = parts.into_iter().map(|(algorithm, devices)| give(auth, algorithm, devices, &request));
    let mut given: GivenKeys = try_join_all(given).await?.into_iter().flatten().collect();
    given.sort_unstable_by_key(|given| given.device);
    let remote = wanted.keys().filter(|user_id| !local(user_id)).map(|user_id| user_id.server_name());
    Ok(build_answer(&keys, &given, remote))
}

async fn find_devices<'a>(
    auth: &Auth,
    wanted: impl Iterator<Item = (&'a OwnedUserId, &'a BTreeMap<OwnedDeviceId, OneTimeKeyAlgorithm>)> + Clone,
) -> Result<Vec<WantedKey<'a>>, AuthError> {
    let user_ids: Vec<&UserId> = wanted.clone().map(|(user_id, _)| user_id.as_ref()).collect();
    if user_ids.is_empty() {
        return Ok(Vec::new());
    }
    let users = auth.keyring.load(&auth.db, &user_ids).await?;
    let of_user = |((user_id, devices), user): ((&'a OwnedUserId, &'a BTreeMap<_, _>), _)| {
        let user: std::sync::Arc<super::keyring::UserKeys> = user;
        devices.iter().map(move |(device_id, algorithm): (&'a OwnedDeviceId, &'a OneTimeKeyAlgorithm)| WantedKey {
            user_id,
            device_id: device_id.as_str(),
            algorithm: algorithm.as_str(),
            device: user.number(device_id.as_str()),
        })
    };
    Ok(wanted.zip(users).flat_map(of_user).collect())
}

/// A one-time key of each device, or its fallback key.
async fn give(auth: &Auth, algorithm: &str, devices: Vec<i64>, request: &str) -> Result<GivenKeys, AuthError> {
    let claim = Claim { devices: devices.clone(), algorithm: algorithm.to_owned(), request: request.to_owned() };
    let mut given = match auth.claims.append(claim).await {
        Ok(taken) => taken.keys,
        Err(AppendError::Refused(Nothing)) => GivenKeys::new(),
        Err(AppendError::Store(error)) if error.is_unavailable() || matches!(*error, StoreError::Retry(_)) => {
            return Err(StoreError::Unavailable(error.to_string()).into());
        }
        Err(AppendError::Store(error)) => return Err(AuthError::Internal(format!("a claim: {error}"))),
        Err(AppendError::Closed) => return Err(StoreError::Unavailable("the process ends".to_owned()).into()),
    };
    if given.len() < devices.len() {
        let have: HashSet<i64> = given.iter().map(|given| given.device).collect();
        let without: Vec<i64> = devices.into_iter().filter(|device| !have.contains(device)).collect();
        given.extend(fall_back(auth, algorithm, &Value::from(without).to_string()).await?);
    }
    Ok(given)
}

/// What may be given any number of times.
async fn fall_back(auth: &Auth, algorithm: &str, devices: &str) -> Result<Vec<Given>, StoreError> {
    let mut tries = 0;
    loop {
        match try_fall_back(auth, algorithm, devices).await {
            Err(StoreError::Retry(_)) if tries < MAX_TRIES => tries += 1,
            done => return done,
        }
    }
}

async fn try_fall_back(auth: &Auth, algorithm: &str, devices: &str) -> Result<Vec<Given>, StoreError> {
    let mut tx = auth.db.begin().await?;
    let mut outbox = Outbox::default();
    let rows = one_time_keys::load_fallback_keys(&mut tx, devices, algorithm).await?;
    let unused: Vec<Value> = rows
        .iter()
        .filter(|row| !row.used)
        .map(|row| {
            outbox.key_counts_changed(row.device);
            json!({ "device": row.device, "algorithm": algorithm, "key_id": row.key_id })
        })
        .collect();
    if !unused.is_empty() {
        one_time_keys::mark_fallback_keys_used(&mut tx, &Value::Array(unused).to_string()).await?;
    }
    outbox::commit(auth, tx, outbox).await?;
    Ok(rows.into_iter().map(|row| Given { device: row.device, key_id: row.key_id, json: row.json }).collect())
}

fn build_answer<'a>(keys: &[WantedKey<'_>], given: &[Given], remote: impl Iterator<Item = &'a ServerName>) -> Bytes {
    let bytes: usize = given.iter().map(|given| given.json.len() + 160).sum();
    let mut json = String::with_capacity(bytes + 64);
    json.push_str(r#"{"one_time_keys":{"#);
    let mut name = String::new();
    let mut user = None;
    for key in keys {
        let found = key.device.and_then(|device| given.binary_search_by_key(&device, |given| given.device).ok());
        let Some(given) = found.map(|at| &given[at]) else { continue };
        if user == Some(key.user_id) {
            json.push(',');
        } else {
            json.push_str(if user.is_some() { "}," } else { "" });
            push_text(&mut json, key.user_id.as_str());
            json.push_str(":{");
            user = Some(key.user_id);
        }
        push_text(&mut json, key.device_id);
        json.push_str(":{");
        name.clear();
        name.extend([key.algorithm, ":", &given.key_id]);
        push_text(&mut json, &name);
        json.push(':');
        json.push_str(&given.json);
        json.push('}');
    }
    json.push_str(if user.is_some() { "}}" } else { "}" });
    json.push_str(r#","failures":"#);
    json.push_str(&build_failures(remote));
    json.push('}');
    json.into()
}

/// Servers that could not be asked.
pub(super) fn build_failures<'a>(servers: impl Iterator<Item = &'a ServerName>) -> String {
    let mut servers: Vec<&str> = servers.map(ServerName::as_str).collect();
    servers.sort_unstable();
    servers.dedup();
    let mut failures = ObjectWriter::new();
    for server in servers {
        failures.member(server, r#"{"status":503,"message":"this server does not federate"}"#);
    }
    failures.finish()
}
