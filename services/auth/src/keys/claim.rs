//! Giving out one-time keys. [`crate::store::one_time_keys`] says why none is given twice.

use std::collections::BTreeMap;

use bytes::Bytes;
use matrixon_runtime::random;
use matrixon_store::{StoreError, Tx, streams::AppendError};
use ruma::{OneTimeKeyAlgorithm, OwnedDeviceId, OwnedUserId, ServerName};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    claim_writer::{Claim, Nothing},
    json::ObjectWriter,
};
use crate::{
    error::AuthError,
    outbox::{self, Outbox},
    state::Auth,
    store::one_time_keys::{self, ClaimedRow, Waiting},
};

/// Keys that one request may ask for.
const MAX_WANTED: usize = 5_000;
/// How often a deadlock with a deletion of the same devices is tried again.
const MAX_TRIES: usize = 5;

/// What a client wants: for each device, a key of an algorithm.
pub(crate) type Wanted = BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, OneTimeKeyAlgorithm>>;

#[derive(Serialize)]
struct WantedKey<'a> {
    n: usize,
    user_id: &'a str,
    device_id: &'a str,
    algorithm: &'a str,
}

/// The key that one device gave.
struct Given {
    key_id: String,
    json: String,
}

/// The answer to `/keys/claim`: what has no key left is not in it.
///
/// `M_INVALID_PARAM` ← more than 5,000 keys
pub(crate) async fn claim(auth: &Auth, wanted: &Wanted, idempotency_key: &str) -> Result<Bytes, AuthError> {
    let local = |user_id: &OwnedUserId| user_id.server_name() == auth.server_name;
    let keys: Vec<WantedKey<'_>> = wanted
        .iter()
        .filter(|(user_id, _)| local(user_id))
        .flat_map(|(user_id, devices)| {
            devices.iter().map(move |(device_id, algorithm)| (user_id, device_id, algorithm))
        })
        .enumerate()
        .map(|(n, (user_id, device_id, algorithm))| WantedKey {
            n,
            user_id: user_id.as_str(),
            device_id: device_id.as_str(),
            algorithm: algorithm.as_str(),
        })
        .collect();
    if keys.len() > MAX_WANTED {
        return Err(AuthError::InvalidParam(format!("at most {MAX_WANTED} keys can be claimed at once")));
    }
    let given = give(auth, &keys, idempotency_key).await?;
    let remote = wanted.keys().filter(|user_id| !local(user_id)).map(|user_id| user_id.server_name());
    Ok(build_answer(&keys, &given, remote))
}

async fn give(auth: &Auth, keys: &[WantedKey<'_>], idempotency_key: &str) -> Result<Vec<Option<Given>>, AuthError> {
    let mut given: Vec<Option<Given>> = keys.iter().map(|_| None).collect();
    let request = if idempotency_key.is_empty() { random::id(22) } else { idempotency_key.to_owned() };
    for step in [Step::Take, Step::Wait, Step::FallBack] {
        let Some(wanted) = missing(keys, &given) else { break };
        let got = match step {
            Step::Take => take(auth, wanted, &request).await?,
            step => run(auth, step, &wanted, &request).await?,
        };
        for (n, key) in got {
            if let Some(place) = given.get_mut(n as usize) {
                *place = Some(key);
            }
        }
    }
    Ok(given)
}

#[derive(Clone, Copy)]
enum Step {
    /// What nobody else is taking, together with the other claims of this replica.
    Take,
    /// What others were taking and may give back: a transaction of its own.
    Wait,
    /// What may be given any number of times.
    FallBack,
}

type Got = Vec<(i64, Given)>;

fn given(rows: Vec<ClaimedRow>) -> Got {
    rows.into_iter().map(|row| (row.n, Given { key_id: row.key_id, json: row.json })).collect()
}

async fn take(auth: &Auth, wanted: String, request: &str) -> Result<Got, AuthError> {
    match auth.claims.append(Claim { wanted, request: request.to_owned() }).await {
        Ok(taken) => Ok(given(taken.rows)),
        Err(AppendError::Refused(Nothing)) => Ok(Vec::new()),
        Err(AppendError::Store(error)) if error.is_unavailable() || matches!(*error, StoreError::Retry(_)) => {
            Err(StoreError::Unavailable(error.to_string()).into())
        }
        Err(AppendError::Store(error)) => Err(AuthError::Internal(format!("a claim: {error}"))),
        Err(AppendError::Closed) => Err(StoreError::Unavailable("the process ends".to_owned()).into()),
    }
}

async fn run(auth: &Auth, step: Step, wanted: &str, request: &str) -> Result<Got, StoreError> {
    let mut tries = 0;
    loop {
        let mut tx = auth.db.begin().await?;
        let mut outbox = Outbox::default();
        let got = if let Step::FallBack = step {
            fall_back(&mut tx, &mut outbox, wanted).await
        } else {
            wait(auth, &mut tx, &mut outbox, (wanted, request)).await
        };
        let done = match got {
            Ok(got) => outbox::commit(auth, tx, outbox).await.map(|()| got),
            Err(error) => Err(error),
        };
        match done {
            Err(StoreError::Retry(_)) if tries < MAX_TRIES => tries += 1,
            done => return done,
        }
    }
}

async fn wait(
    auth: &Auth,
    tx: &mut Tx,
    outbox: &mut Outbox,
    (wanted, request): (&str, &str),
) -> Result<Got, StoreError> {
    let rows = one_time_keys::claim(tx, wanted, request, auth.clock.now_ms(), Waiting::For).await?;
    for row in &rows {
        outbox.key_counts_changed(row.device);
    }
    Ok(given(rows))
}

async fn fall_back(tx: &mut Tx, outbox: &mut Outbox, wanted: &str) -> Result<Got, StoreError> {
    let rows = one_time_keys::load_fallback_keys(tx, wanted).await?;
    let unused: Vec<Value> = rows
        .iter()
        .filter(|row| !row.used)
        .map(|row| {
            outbox.key_counts_changed(row.device);
            json!({ "device": row.device, "algorithm": row.algorithm, "key_id": row.key_id })
        })
        .collect();
    if !unused.is_empty() {
        one_time_keys::mark_fallback_keys_used(tx, &Value::Array(unused).to_string()).await?;
    }
    Ok(rows.into_iter().map(|row| (row.n, Given { key_id: row.key_id, json: row.json })).collect())
}

/// Those of `keys` that have not been given, as the store wants them.
fn missing(keys: &[WantedKey<'_>], given: &[Option<Given>]) -> Option<String> {
    let missing: Vec<_> = keys.iter().filter(|key| given[key.n].is_none()).collect();
    if missing.is_empty() { None } else { serde_json::to_string(&missing).ok() }
}

fn build_answer<'a>(
    keys: &[WantedKey<'_>],
    given: &[Option<Given>],
    remote: impl Iterator<Item = &'a ServerName>,
) -> Bytes {
    let mut users = ObjectWriter::with_capacity(256 * keys.len());
    for of_user in keys.chunk_by(|a, b| a.user_id == b.user_id) {
        let mut devices = ObjectWriter::new();
        for key in of_user {
            if let Some(given) = &given[key.n] {
                let mut one = ObjectWriter::new();
                one.member(&format!("{}:{}", key.algorithm, given.key_id), &given.json);
                devices.member(key.device_id, &one.finish());
            }
        }
        if !devices.is_empty() {
            users.member(of_user[0].user_id, &devices.finish());
        }
    }
    let mut answer = ObjectWriter::new();
    answer.member("one_time_keys", &users.finish());
    answer.member("failures", &build_failures(remote));
    answer.finish().into()
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
