//! One-time keys are given once, whatever dies meanwhile.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use futures::future::join_all;
use matrixon_testkit::{
    client::{Client, Method, unique},
    tests,
};
use serde_json::{Value, json};

use crate::network::Network;

tests![Network: claimed_keys_survive_kills];

const KEYS: usize = 5_000;
const CLAIMERS: usize = 64;
const ALGORITHM: &str = "signed_curve25519";

async fn claimed_keys_survive_kills(network: Arc<Network>) -> Result<()> {
    let owner = network.client.register(&unique("owner")).await?;
    let keys: Value = (0..KEYS)
        .map(|n| {
            let key = STANDARD_NO_PAD.encode(rand::random::<[u8; 32]>());
            (format!("{ALGORITHM}:{n:06}"), json!({ "key": key }))
        })
        .collect();
    owner.post("/_matrix/client/v3/keys/upload", &json!({ "one_time_keys": keys })).await?;
    let mut claimers = Vec::new();
    for _ in 0..4 {
        claimers.push(network.client.register(&unique("claimer")).await?);
    }
    let (failed, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let claiming = join_all((0..CLAIMERS).map(|n| claim_all(&network, &claimers[n % claimers.len()], &owner, &failed)));
    let killing = kill_at_random(&network, &done);
    let (given, killed) = tokio::join!(
        async {
            let given = claiming.await;
            done.store(true, Ordering::Relaxed);
            given
        },
        killing
    );
    killed?;
    let given: Vec<String> = given.into_iter().flatten().collect();
    let different: HashSet<&String> = given.iter().collect();
    ensure!(different.len() == given.len(), "{} keys were given more than once", given.len() - different.len());
    let (lost, failed) = (KEYS - given.len(), failed.into_inner());
    ensure!(lost <= failed, "{lost} keys were lost, but only {failed} requests failed");
    Ok(())
}

/// Claims until nothing is left. A request that fails may have cost its key.
async fn claim_all(network: &Network, claimer: &Client, owner: &Client, failed: &AtomicUsize) -> Vec<String> {
    let body = json!({ "one_time_keys": { &owner.user_id: { &owner.device_id: ALGORITHM } } });
    let mut given = Vec::new();
    loop {
        let client = claimer.pinned(network.pick());
        match client.request(Method::POST, "/_matrix/client/v3/keys/claim", Some(&body)).await {
            Ok(reply) if reply.status == 200 => {
                match reply.body["one_time_keys"][&owner.user_id][&owner.device_id].as_object() {
                    Some(keys) => given.extend(keys.keys().cloned()),
                    None => return given,
                }
            }
            _ => {
                failed.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn kill_at_random(network: &Network, done: &AtomicBool) -> Result<()> {
    while !done.load(Ordering::Relaxed) {
        let (role, index) = (["auth", "auth", "gateway"][rand::random_range(0..3)], rand::random_range(0..2));
        network
            .act(move |cluster| {
                cluster.kill(role, index)?;
                cluster.start(role, index)
            })
            .await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    Ok(())
}
