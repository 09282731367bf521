//! Device, one-time and fallback keys.

use std::collections::HashSet;

use anyhow::Result;
use futures::{
    StreamExt as _, TryStreamExt as _,
    future::{join_all, try_join_all},
};
use matrixon_testkit::{
    client::{Client, Method, escape},
    tests,
};
use serde_json::{Value, json};

use crate::{
    crypto::{Device, SigningKey, random_key},
    env::{Env, Shared, expect_error},
};

tests![Env: uploaded_keys_are_found, foreign_keys_are_refused, wrong_signatures_are_refused, identity_keys_stay,
    a_key_id_keeps_its_value, keys_are_given_in_order_then_the_fallback, parallel_claims_get_every_key,
    many_claimers_over_all_replicas, claims_of_many_devices, claimed_keys_do_not_come_back, deleted_devices_lose_their_keys,
    an_acknowledged_change_is_in_every_answer, other_servers_are_failures, hostile_bodies_are_refused];

const UPLOAD: &str = "/_matrix/client/v3/keys/upload";
const CLAIM: &str = "/_matrix/client/v3/keys/claim";
const QUERY: &str = "/_matrix/client/v3/keys/query";

pub(crate) async fn query(client: &Client, user_id: &str) -> Result<Value> {
    client.post(QUERY, &json!({ "device_keys": { user_id: [] } })).await
}

/// The key that a claim of one device got: its id and the key.
async fn claim(client: &Client, of: &Client, algorithm: &str) -> Result<Option<(String, Value)>> {
    let body = json!({ "one_time_keys": { &of.user_id: { &of.device_id: algorithm } } });
    let mut answer = client.post(CLAIM, &body).await?;
    let keys = answer["one_time_keys"][&of.user_id][&of.device_id].take();
    Ok(keys.as_object().and_then(|keys| keys.iter().next().map(|(id, key)| (id.clone(), key.clone()))))
}

async fn uploaded_keys_are_found(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let none = query(&bob, &alice.user_id).await?;
    assert_eq!(none["device_keys"], json!({ &alice.user_id: {} }), "no devices, and that is an answer");
    let device = Device::new(alice.clone());
    let keys = device.keys();
    let body = json!({ "device_keys": keys, "one_time_keys": device.one_time_keys("A", 3) });
    assert_eq!(alice.post(UPLOAD, &body).await?["one_time_key_counts"], json!({ "signed_curve25519": 3 }));
    let counts = alice.post(UPLOAD, &json!({})).await?;
    assert_eq!(counts["one_time_key_counts"], json!({ "signed_curve25519": 3 }));
    let mut expected = keys.clone();
    expected["unsigned"] = json!({});
    let found = query(&bob, &alice.user_id).await?;
    assert_eq!(found["device_keys"][&alice.user_id], json!({ &alice.device_id: expected }));
    assert_eq!(found["failures"], json!({}));

    let path = format!("/_matrix/client/v3/devices/{}", escape(&alice.device_id));
    alice.put(&path, &json!({ "display_name": "a \"name\" \u{1f600}" })).await?;
    expected["unsigned"] = json!({ "device_display_name": "a \"name\" \u{1f600}" });
    let found = query(&bob, &alice.user_id).await?;
    assert_eq!(found["device_keys"][&alice.user_id][&alice.device_id], expected);
    let other = json!({ "device_keys": { &alice.user_id: ["OTHER"] } });
    assert_eq!(bob.post(QUERY, &other).await?["device_keys"], json!({ &alice.user_id: {} }));
    let this = json!({ "device_keys": { &alice.user_id: [&alice.device_id] } });
    assert_eq!(bob.post(QUERY, &this).await?["device_keys"][&alice.user_id][&alice.device_id], expected);
    Ok(())
}

async fn foreign_keys_are_refused(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let second = alice.login(alice.localpart()).await?;
    for other in [&alice, &second] {
        let body = json!({ "device_keys": Device::new(other.clone()).keys() });
        expect_error(&bob.request(Method::POST, UPLOAD, Some(&body)).await?, 400, "M_INVALID_PARAM");
    }
    let body = json!({ "device_keys": Device::new(second).keys() });
    expect_error(&alice.request(Method::POST, UPLOAD, Some(&body)).await?, 400, "M_INVALID_PARAM");
    for missing in ["algorithms", "keys", "signatures", "user_id", "device_id"] {
        let mut keys = Device::new(alice.clone()).keys();
        keys.as_object_mut().expect("an object").remove(missing);
        let reply = alice.request(Method::POST, UPLOAD, Some(&json!({ "device_keys": keys }))).await?;
        expect_error(&reply, 400, "M_BAD_JSON");
    }
    assert_eq!(query(&bob, &alice.user_id).await?["device_keys"], json!({ &alice.user_id: {} }));
    Ok(())
}

async fn wrong_signatures_are_refused(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let device = Device::new(alice.clone());
    let stranger = SigningKey::new(Some(&alice.device_id));
    let mut forged = device.keys();
    forged["signatures"] = json!({});
    let by_stranger = stranger.sign(&alice.user_id, &forged);
    let by_another_device = SigningKey::new(Some("OTHER")).sign(&alice.user_id, &forged);
    for keys in [forged, by_stranger, by_another_device] {
        let reply = alice.request(Method::POST, UPLOAD, Some(&json!({ "device_keys": keys }))).await?;
        expect_error(&reply, 400, "M_INVALID_SIGNATURE");
    }
    alice.post(UPLOAD, &json!({ "device_keys": device.keys() })).await?;
    let unsigned = json!({ "key": random_key() });
    for key in [
        stranger.sign(&alice.user_id, &unsigned),
        unsigned,
        device.key.sign("@other:example.org", &json!({ "key": random_key() })),
    ] {
        for kind in ["one_time_keys", "fallback_keys"] {
            let body = json!({ kind: { "signed_curve25519:A": key } });
            expect_error(&alice.request(Method::POST, UPLOAD, Some(&body)).await?, 400, "M_INVALID_SIGNATURE");
        }
    }
    let no_key = device.key.sign(&alice.user_id, &json!({ "key": "short" }));
    let body = json!({ "one_time_keys": { "signed_curve25519:A": no_key } });
    expect_error(&alice.request(Method::POST, UPLOAD, Some(&body)).await?, 400, "M_INVALID_PARAM");
    assert_eq!(alice.post(UPLOAD, &json!({})).await?["one_time_key_counts"], json!({ "signed_curve25519": 0 }));
    Ok(())
}

async fn identity_keys_stay(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let keys = Device::new(alice.clone()).keys();
    for _ in 0..2 {
        alice.post(UPLOAD, &json!({ "device_keys": keys })).await?;
    }
    let others = Device::new(alice.clone()).keys();
    let reply = alice.request(Method::POST, UPLOAD, Some(&json!({ "device_keys": others }))).await?;
    expect_error(&reply, 400, "M_INVALID_PARAM");
    let mut found = query(&alice, &alice.user_id).await?["device_keys"][&alice.user_id][&alice.device_id].take();
    found.as_object_mut().expect("the device").remove("unsigned");
    assert_eq!(found, keys);
    Ok(())
}

async fn a_key_id_keeps_its_value(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let device = Device::new(alice.clone());
    alice.post(UPLOAD, &json!({ "device_keys": device.keys() })).await?;
    let keys = device.one_time_keys("A", 3);
    let upload = |keys: Value| {
        let alice = alice.clone();
        async move { alice.request(Method::POST, UPLOAD, Some(&json!({ "one_time_keys": keys }))).await }
    };
    for _ in 0..2 {
        assert_eq!(upload(keys.clone()).await?.body["one_time_key_counts"], json!({ "signed_curve25519": 3 }));
    }
    let mut more = keys.clone();
    more["signed_curve25519:B"] = device.one_time_key();
    let mut changed = more.clone();
    changed["signed_curve25519:A00001"] = device.one_time_key();
    expect_error(&upload(changed).await?, 400, "M_INVALID_PARAM");
    assert_eq!(alice.post(UPLOAD, &json!({})).await?["one_time_key_counts"], json!({ "signed_curve25519": 3 }));
    assert_eq!(upload(more).await?.body["one_time_key_counts"], json!({ "signed_curve25519": 4 }));
    for n in 0..3 {
        let (id, key) = claim(&bob, &alice, "signed_curve25519").await?.expect("a key");
        assert_eq!((&id, &key), (&format!("signed_curve25519:A{n:05}"), &keys[&id]));
    }
    // other algorithms may be mere strings
    for (value, status) in
        [(json!("text"), 200), (json!("text"), 200), (json!("other"), 400), (json!({ "key": "text" }), 400)]
    {
        let reply = upload(json!({ "test_algorithm:id": value })).await?;
        assert_eq!(reply.status, status, "{}", reply.text);
    }
    assert_eq!(claim(&bob, &alice, "test_algorithm").await?, Some(("test_algorithm:id".to_owned(), json!("text"))));
    assert_eq!(claim(&bob, &alice, "test_algorithm").await?, None);
    Ok(())
}

async fn keys_are_given_in_order_then_the_fallback(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let device = Device::new(alice.clone());
    let (first, second) = (device.fallback_key(), device.fallback_key());
    let body = json!({ "device_keys": device.keys(), "fallback_keys": { "signed_curve25519:F1": first } });
    alice.post(UPLOAD, &body).await?;
    // the later upload has the lower id
    for id in ["B", "A"] {
        alice
            .post(UPLOAD, &json!({ "one_time_keys": { format!("signed_curve25519:{id}"): device.one_time_key() } }))
            .await?;
    }
    for id in ["B", "A"] {
        let given = claim(&bob, &alice, "signed_curve25519").await?;
        assert_eq!(given.map(|(id, _)| id), Some(format!("signed_curve25519:{id}")));
    }
    for _ in 0..3 {
        let given = claim(&bob, &alice, "signed_curve25519").await?;
        assert_eq!(given, Some(("signed_curve25519:F1".to_owned(), first.clone())));
    }
    let body = json!({ "org.matrix.msc2732.fallback_keys": { "signed_curve25519:F2": second } });
    alice.post(UPLOAD, &body).await?;
    let given = claim(&bob, &alice, "signed_curve25519").await?;
    assert_eq!(given, Some(("signed_curve25519:F2".to_owned(), second)));
    assert_eq!(claim(&bob, &alice, "unknown").await?, None);
    Ok(())
}

async fn parallel_claims_get_every_key(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let device = Device::new(alice.clone());
    for round in 0..5 {
        let body = json!({ "device_keys": null, "one_time_keys": device.one_time_keys(&format!("{round}-"), 20) });
        alice.post(UPLOAD, &body).await?;
        let claims = (0..20).map(|_| claim(&bob, &alice, "signed_curve25519"));
        let given: HashSet<String> = try_join_all(claims).await?.into_iter().flatten().map(|(id, _)| id).collect();
        assert_eq!(given.len(), 20, "round {round}: {given:?}");
        assert_eq!(claim(&bob, &alice, "signed_curve25519").await?, None);
    }
    Ok(())
}

async fn many_claimers_over_all_replicas(env: Shared) -> Result<()> {
    const KEYS: usize = 1_000;
    let (alice, bob) = env.pair().await?;
    let device = Device::new(alice.clone());
    let body = json!({ "device_keys": device.keys(), "one_time_keys": device.one_time_keys("A", KEYS) });
    assert_eq!(alice.post(UPLOAD, &body).await?["one_time_key_counts"], json!({ "signed_curve25519": KEYS }));
    let claimers = (0..64).map(|_| async {
        let mut given = Vec::new();
        while let Some((id, _)) = claim(&bob, &alice, "signed_curve25519").await? {
            given.push(id);
        }
        anyhow::Ok(given)
    });
    let given: Vec<String> = try_join_all(claimers).await?.into_iter().flatten().collect();
    let different: HashSet<&String> = given.iter().collect();
    assert_eq!((given.len(), different.len()), (KEYS, KEYS));
    assert_eq!(alice.post(UPLOAD, &json!({})).await?["one_time_key_counts"], json!({ "signed_curve25519": 0 }));
    Ok(())
}

async fn claims_of_many_devices(env: Shared) -> Result<()> {
    let bob = env.user("bob").await?;
    let mut devices = Vec::new();
    for _ in 0..4 {
        let first = env.user("alice").await?;
        for _ in 0..2 {
            devices.push(Device::new(first.login(first.localpart()).await?));
        }
    }
    for device in &devices {
        let body = json!({ "device_keys": device.keys(), "one_time_keys": device.one_time_keys("A", 8) });
        device.client.post(UPLOAD, &body).await?;
    }
    let mut wanted = json!({});
    for device in &devices {
        wanted[&device.client.user_id][&device.client.device_id] = "signed_curve25519".into();
    }
    // claims of the same devices at once, which must neither wait for each other in a circle nor miss a key
    let body = json!({ "one_time_keys": wanted });
    let answers = try_join_all((0..8).map(|_| bob.post(CLAIM, &body))).await?;
    for device in &devices {
        let (user_id, device_id) = (&device.client.user_id, &device.client.device_id);
        let given: HashSet<&String> = answers
            .iter()
            .filter_map(|answer| answer["one_time_keys"][user_id][device_id].as_object())
            .flat_map(serde_json::Map::keys)
            .collect();
        assert_eq!(given.len(), 8, "{user_id} {device_id}: {given:?}");
    }
    let empty = bob.post(CLAIM, &body).await?;
    assert_eq!(empty["one_time_keys"], json!({}));
    Ok(())
}

async fn claimed_keys_do_not_come_back(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let device = Device::new(alice.clone());
    let body = json!({ "device_keys": device.keys(), "one_time_keys": device.one_time_keys("A", 2) });
    alice.post(UPLOAD, &body).await?;
    let first = claim(&bob, &alice, "signed_curve25519").await?.expect("a key");
    // the upload's answer was lost, so the client sends it again
    assert_eq!(alice.post(UPLOAD, &body).await?["one_time_key_counts"], json!({ "signed_curve25519": 1 }));
    let second = claim(&bob, &alice, "signed_curve25519").await?.expect("a key");
    assert_ne!(first.0, second.0);
    assert_eq!(claim(&bob, &alice, "signed_curve25519").await?, None);
    Ok(())
}

async fn deleted_devices_lose_their_keys(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let second = alice.login(alice.localpart()).await?;
    let device = Device::new(second.clone());
    let body = json!({ "device_keys": device.keys(), "one_time_keys": device.one_time_keys("A", 2),
                       "fallback_keys": { "signed_curve25519:F": device.fallback_key() } });
    second.post(UPLOAD, &body).await?;
    second.post("/_matrix/client/v3/logout", &json!({})).await?;
    assert_eq!(query(&bob, &alice.user_id).await?["device_keys"], json!({ &alice.user_id: {} }));
    assert_eq!(claim(&bob, &second, "signed_curve25519").await?, None);
    Ok(())
}

/// However often keys are asked for meanwhile: an answer to a query that began after a change has that change.
async fn an_acknowledged_change_is_in_every_answer(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let device = Device::new(alice.clone());
    alice.post(UPLOAD, &json!({ "device_keys": device.keys() })).await?;
    let path = format!("/_matrix/client/v3/devices/{}", escape(&alice.device_id));
    let name_of = |found: &Value| {
        found["device_keys"][&alice.user_id][&alice.device_id]["unsigned"]["device_display_name"].clone()
    };
    let pinned: Vec<Client> = (0..env.urls.len()).map(|gateway| bob.pinned(gateway)).collect();
    let crowd = async {
        let asked = (0..160).map(|turn| query(&pinned[turn % pinned.len()], &alice.user_id));
        futures::stream::iter(asked).buffer_unordered(4).try_collect::<Vec<Value>>().await
    };
    let changes = async {
        for turn in 0..12 {
            let name = json!(format!("name {turn}"));
            alice.pinned(turn % pinned.len()).put(&path, &json!({ "display_name": name })).await?;
            for client in &pinned {
                assert_eq!(name_of(&query(client, &alice.user_id).await?), name);
            }
        }
        anyhow::Ok(())
    };
    futures::try_join!(crowd, changes)?;
    Ok(())
}

async fn other_servers_are_failures(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let answer = query(&alice, "@somebody:other.example.org").await?;
    assert_eq!(answer["device_keys"], json!({}));
    assert!(answer["failures"]["other.example.org"].is_object(), "{answer}");
    let body = json!({ "one_time_keys": { "@somebody:other.example.org": { "D": "signed_curve25519" } } });
    let answer = alice.post(CLAIM, &body).await?;
    assert_eq!(answer["one_time_keys"], json!({}));
    assert!(answer["failures"]["other.example.org"].is_object(), "{answer}");
    Ok(())
}

async fn hostile_bodies_are_refused(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let long = "x".repeat(5_000);
    let deep = format!("{}{}", "[".repeat(90), "]".repeat(90));
    let ids = format!(r#"{{"user_id":"{}","device_id":"{}","#, alice.user_id, alice.device_id);
    let mut bodies: Vec<String> = [
        "[]",
        "null",
        "7",
        "{",
        "{}x",
        "\u{0}",
        r#"{"device_keys":[]}"#,
        r#"{"device_keys":"x"}"#,
        r#"{"one_time_keys":[]}"#,
        r#"{"one_time_keys":{"a":1}}"#,
        r#"{"one_time_keys":{"a:b":1}}"#,
        r#"{"one_time_keys":{"a:b":1.5}}"#,
        r#"{"one_time_keys":{"a:b":{"x":1.5}}}"#,
        r#"{"one_time_keys":{":b":"x"}}"#,
        r#"{"one_time_keys":{"a:":"x"}}"#,
        r#"{"one_time_keys":{"a:b":"\u0000"}}"#,
        r#"{"one_time_keys":{"a:b":"\ud800"}}"#,
        r#"{"one_time_keys":{"a:b":"x","a:b":"y"}}"#,
        r#"{"one_time_keys":{"signed_curve25519:b":"x"}}"#,
        r#"{"one_time_keys":{"signed_curve25519:b":{"key":1,"signatures":7}}}"#,
        r#"{"fallback_keys":{"a:b":null}}"#,
        r#"{"one_time_keys":{"a:b":{"x":99999999999999999999}}}"#,
        r#"{"one_time_keys":{"a:b":{"x":-0.0}}}"#,
    ]
    .map(str::to_owned)
    .into();
    bodies.push(format!(r#"{{"one_time_keys":{{"a:{long}":"x"}}}}"#));
    bodies.push(format!(r#"{{"one_time_keys":{{"a:b":"{}"}}}}"#, "x".repeat(100_000)));
    bodies.push(format!(r#"{{"one_time_keys":{{"a:b":{{"x":{deep}{deep}}}}}}}"#));
    bodies.push(format!(r#"{{"device_keys":{ids}"algorithms":7,"keys":{{}},"signatures":{{}}}}}}"#));
    bodies.push(format!(r#"{{"device_keys":{ids}"algorithms":[],"keys":{{"ed25519":"x"}},"signatures":{{}}}}}}"#));
    bodies.push(format!(r#"{{"device_keys":{ids}"algorithms":[],"keys":{{"ed25519:x":7}},"signatures":{{}}}}}}"#));
    bodies.push(format!(r#"{{"device_keys":{ids}"algorithms":[],"keys":{{}},"signatures":{{"@a:b":"x"}}}}}}"#));
    let send = |path: &'static str, body: &str| {
        let (alice, body) = (alice.clone(), body.as_bytes().to_vec());
        async move { alice.request_raw(Method::POST, path, "application/json", body).await }
    };
    for body in &bodies {
        let reply = send(UPLOAD, body).await?;
        assert!((400..500).contains(&reply.status), "{body}: {} {}", reply.status, reply.text);
    }
    let others =
        ["/_matrix/client/v3/keys/device_signing/upload", "/_matrix/client/v3/keys/signatures/upload", CLAIM, QUERY];
    let more = [
        r#"{"one_time_keys":{"@a:b":{"x":7}}}"#,
        r#"{"device_keys":{"not a user":[]}}"#,
        r#"{"device_keys":{"@a:b":7}}"#,
        r#"{"master_key":{}}"#,
        r#"{"master_key":{"keys":{"ed25519:x":"x"},"usage":["master"]}}"#,
        r#"{"@a:b":{"x":7}}"#,
        r#"{"@a:b":{"x":{"signatures":{"@a:b":{"ed25519:x":7}}}}}"#,
        r#"{"@a:b":[]}"#,
    ];
    for path in others {
        let replies = join_all(bodies.iter().map(String::as_str).chain(more).map(|body| send(path, body))).await;
        for reply in replies {
            let reply = reply?;
            assert!(reply.status < 500, "{path}: {} {}", reply.status, reply.text);
        }
    }
    assert_eq!(alice.post(UPLOAD, &json!({})).await?["one_time_key_counts"], json!({ "signed_curve25519": 0 }));
    Ok(())
}
