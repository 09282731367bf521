//! `/keys/query` and `/keys/claim` for many devices in one request.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use clap::Args as ClapArgs;
use futures::future::try_join_all;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

use crate::{
    api::{PASSWORD, User},
    client::Client,
    measure::{Report, Samples, Stopwatch, progress},
    target::Target,
};

#[derive(ClapArgs, Clone, Debug)]
pub(crate) struct QueryArgs {
    /// Users whose keys one request asks for.
    #[arg(long, default_value_t = 500)]
    pub(crate) users: usize,
    /// Devices of each.
    #[arg(long, default_value_t = 3)]
    pub(crate) devices: usize,
    /// Requests at once.
    #[arg(long, default_value_t = 2)]
    pub(crate) clients: usize,
    #[arg(long, default_value_t = 8)]
    pub(crate) seconds: u64,
}

#[derive(ClapArgs, Clone, Debug)]
pub(crate) struct ClaimArgs {
    /// Devices from which one request claims a key, each of another user.
    #[arg(long, default_value_t = 500)]
    pub(crate) devices: usize,
    /// Requests, each with another key of every device.
    #[arg(long, default_value_t = 20)]
    pub(crate) rounds: usize,
    /// Requests at once.
    #[arg(long, default_value_t = 1)]
    pub(crate) clients: usize,
}

pub(crate) async fn query(target: &Target, args: &QueryArgs) -> anyhow::Result<Report> {
    let owners = prepare(target, args.users, args.devices, 0).await?;
    let wanted: Map<String, Value> = owners.iter().map(|(user_id, _)| (user_id.clone(), json!([]))).collect();
    let body = Bytes::from(json!({ "device_keys": wanted }).to_string());
    let expected = args.users * args.devices;
    let askers = User::register_many(target, args.clients).await?;
    let until = Instant::now() + Duration::from_secs(args.seconds);
    let stopwatch = Stopwatch::start(&target.pids);
    let tasks = askers.into_iter().map(|mut asker| {
        let body = body.clone();
        tokio::spawn(async move {
            let mut samples = Samples::default();
            while Instant::now() < until {
                let started = Instant::now();
                let answer = asker.client.call(Method::POST, "/_matrix/client/v3/keys/query", body.clone()).await;
                let elapsed = started.elapsed();
                match answer {
                    Ok((StatusCode::OK, answer)) if count(&answer) == expected => samples.add(elapsed),
                    _ => samples.failures += 1,
                }
            }
            samples
        })
    });
    let mut all = Samples::default();
    for samples in try_join_all(tasks).await? {
        all.merge(samples);
    }
    Ok(stopwatch.finish(&format!("keys/query, {} users x {} devices", args.users, args.devices), all))
}

pub(crate) async fn claim(target: &Target, args: &ClaimArgs) -> anyhow::Result<Report> {
    let owners = prepare(target, args.devices, 1, args.rounds).await?;
    let mut wanted = Map::new();
    for (user_id, device_ids) in &owners {
        let devices: Map<String, Value> =
            device_ids.iter().map(|id| (id.clone(), json!("signed_curve25519"))).collect();
        wanted.insert(user_id.clone(), devices.into());
    }
    let body = Bytes::from(json!({ "one_time_keys": wanted }).to_string());
    let claimers = User::register_many(target, args.clients).await?;
    let left = Arc::new(AtomicUsize::new(args.rounds));
    let stopwatch = Stopwatch::start(&target.pids);
    let tasks =
        claimers.into_iter().map(|claimer| tokio::spawn(claim_on(claimer, body.clone(), args.devices, left.clone())));
    let mut samples = Samples::default();
    for some in try_join_all(tasks).await? {
        samples.merge(some);
    }
    Ok(stopwatch.finish(&format!("keys/claim, {} devices", args.devices), samples))
}

/// Claims until no round is left.
async fn claim_on(mut claimer: User, body: Bytes, devices: usize, left: Arc<AtomicUsize>) -> Samples {
    let mut samples = Samples::default();
    while left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
        let started = Instant::now();
        let answer = claimer.client.call(Method::POST, "/_matrix/client/v3/keys/claim", body.clone()).await;
        let elapsed = started.elapsed();
        match answer {
            Ok((StatusCode::OK, answer)) if count(&answer) == devices => samples.add(elapsed),
            _ => samples.failures += 1,
        }
    }
    samples
}

/// What is counted of an answer, read without costing the servers much of the machine.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(alias = "one_time_keys", borrow)]
    device_keys: HashMap<String, HashMap<String, &'a RawValue>>,
}

/// The devices of an answer.
fn count(answer: &[u8]) -> usize {
    let answer = serde_json::from_slice::<Answer<'_>>(answer);
    answer.map_or(0, |answer| answer.device_keys.values().map(HashMap::len).sum())
}

/// Users with their devices, each of which has uploaded identity keys and so many one-time keys.
async fn prepare(
    target: &Target,
    users: usize,
    devices: usize,
    one_time_keys: usize,
) -> anyhow::Result<Vec<(String, Vec<String>)>> {
    let mut owners = Vec::with_capacity(users);
    for index in 0..users {
        let mut user = User::register(target, index).await?;
        let mut device_ids = Vec::with_capacity(devices);
        for number in 0..devices {
            if number > 0 {
                log_in(target, &mut user, index).await?;
            }
            let whoami = user.client.json(Method::GET, "/_matrix/client/v3/account/whoami", &Value::Null).await?;
            let device_id = whoami["device_id"].as_str().unwrap_or_default().to_owned();
            let body = upload(&user.user_id, &device_id, one_time_keys);
            user.client.json(Method::POST, "/_matrix/client/v3/keys/upload", &body).await?;
            device_ids.push(device_id);
        }
        owners.push((user.user_id, device_ids));
        progress("preparing keys", (index + 1) as f64 / users as f64);
    }
    Ok(owners)
}

async fn log_in(target: &Target, user: &mut User, index: usize) -> anyhow::Result<()> {
    let mut client = Client::new(&target.addresses, index);
    let identifier = json!({ "type": "m.id.user", "user": user.user_id });
    let body = json!({ "type": "m.login.password", "identifier": identifier, "password": PASSWORD });
    let answer = client.json(Method::POST, "/_matrix/client/v3/login", &body).await?;
    client.set_token(answer["access_token"].as_str().unwrap_or_default());
    user.client = client;
    Ok(())
}

/// Keys of the usual sizes. What signs them is one byte too long to be a key, so that nobody can find the signatures wrong.
fn upload(user_id: &str, device_id: &str, one_time_keys: usize) -> Value {
    let signing = format!("ed25519:{device_id}");
    let signatures = json!({ user_id: { &signing: random_text(86) } });
    let keys: Map<String, Value> = (0..one_time_keys)
        .map(|n| {
            let key = json!({ "key": format!("{}A", random_text(42)), "signatures": signatures });
            (format!("signed_curve25519:{n:06}"), key)
        })
        .collect();
    json!({
        "device_keys": {
            "user_id": user_id,
            "device_id": device_id,
            "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
            "keys": { format!("curve25519:{device_id}"): random_text(43), &signing: random_text(44) },
            "signatures": signatures,
        },
        "one_time_keys": keys,
    })
}

fn random_text(chars: usize) -> String {
    (0..chars).map(|_| char::from(b'a' + rand::random::<u8>() % 26)).collect()
}
