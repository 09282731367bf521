//! Dehydrated devices (MSC3814).

use anyhow::Result;
use matrixon_testkit::{
    client::{Client, Method, next_txn_id},
    tests,
};
use serde_json::{Value, json};

use crate::{
    crypto::{Device, SigningKey},
    env::{Env, Shared, expect_error},
    keys::query,
};

tests![Env: a_device_is_dehydrated_and_woken, real_devices_are_safe, it_is_advertised];

const DEVICE: &str = "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device";

/// A device of the user that exists nowhere.
fn dehydrated(of: &Client, device_id: &str) -> Device {
    let mut client = of.clone();
    device_id.clone_into(&mut client.device_id);
    Device { key: SigningKey::new(Some(device_id)), client }
}

fn body(device: &Device) -> Value {
    json!({ "device_id": device.client.device_id, "initial_device_display_name": "asleep",
            "device_data": { "algorithm": "org.matrix.msc3814.v2", "account": "pickle" },
            "device_keys": device.keys(), "one_time_keys": device.one_time_keys("D", 2),
            "fallback_keys": { "signed_curve25519:F": device.fallback_key() } })
}

async fn a_device_is_dehydrated_and_woken(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    expect_error(&alice.request(Method::GET, DEVICE, None).await?, 404, "M_NOT_FOUND");
    expect_error(&alice.request(Method::DELETE, DEVICE, None).await?, 404, "M_NOT_FOUND");
    let (first, second) = (dehydrated(&alice, "ASLEEP1"), dehydrated(&alice, "ASLEEP2"));
    let first_body = body(&first);
    for _ in 0..2 {
        assert_eq!(alice.put(DEVICE, &first_body).await?, json!({ "device_id": "ASLEEP1" }));
    }
    let found = alice.get(DEVICE).await?;
    assert_eq!(
        found,
        json!({ "device_id": "ASLEEP1", "device_data": { "algorithm": "org.matrix.msc3814.v2", "account": "pickle" } })
    );
    let seen = query(&bob, &alice.user_id).await?;
    assert_eq!(seen["device_keys"][&alice.user_id]["ASLEEP1"]["unsigned"]["device_display_name"], "asleep");
    let wanted = json!({ "one_time_keys": { &alice.user_id: { "ASLEEP1": "signed_curve25519" } } });
    let given = bob.post("/_matrix/client/v3/keys/claim", &wanted).await?;
    assert!(given["one_time_keys"][&alice.user_id]["ASLEEP1"]["signed_curve25519:D00000"].is_object(), "{given}");

    for n in 0..3 {
        let path = format!("/_matrix/client/v3/sendToDevice/m.room.encrypted/{}", next_txn_id());
        bob.put(&path, &json!({ "messages": { &alice.user_id: { "ASLEEP1": { "n": n } } } })).await?;
    }
    let events = format!("{DEVICE}/ASLEEP1/events");
    let page = alice.post(&events, &json!({})).await?;
    let expected: Vec<Value> =
        (0..3).map(|n| json!({ "type": "m.room.encrypted", "sender": bob.user_id, "content": { "n": n } })).collect();
    assert_eq!(page["events"], json!(expected));
    let rest = alice.post(&events, &json!({ "next_batch": page["next_batch"] })).await?;
    assert_eq!(rest["events"], json!([]));
    let garbage = alice.request(Method::POST, &events, Some(&json!({ "next_batch": "x" }))).await?;
    expect_error(&garbage, 400, "M_INVALID_PARAM");

    // another one takes its place
    alice.put(DEVICE, &body(&second)).await?;
    assert_eq!(alice.get(DEVICE).await?["device_id"], "ASLEEP2");
    expect_error(&alice.request(Method::POST, &events, Some(&json!({}))).await?, 403, "M_FORBIDDEN");
    let seen = query(&bob, &alice.user_id).await?;
    assert!(seen["device_keys"][&alice.user_id].get("ASLEEP1").is_none(), "{seen}");
    assert_eq!(alice.call(Method::DELETE, DEVICE, None).await?, json!({ "device_id": "ASLEEP2" }));
    expect_error(&alice.request(Method::GET, DEVICE, None).await?, 404, "M_NOT_FOUND");
    Ok(())
}

async fn real_devices_are_safe(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let second = alice.login(alice.localpart()).await?;
    let device = dehydrated(&alice, &second.device_id);
    expect_error(&alice.request(Method::PUT, DEVICE, Some(&body(&device))).await?, 400, "M_INVALID_PARAM");
    second.get("/_matrix/client/v3/account/whoami").await?;
    let mut unsigned = body(&dehydrated(&alice, "ASLEEP"));
    unsigned["device_keys"]["signatures"] = json!({});
    expect_error(&alice.request(Method::PUT, DEVICE, Some(&unsigned)).await?, 400, "M_INVALID_SIGNATURE");
    for missing in ["device_id", "device_data", "device_keys"] {
        let mut less = body(&dehydrated(&alice, "ASLEEP"));
        less.as_object_mut().expect("an object").remove(missing);
        expect_error(&alice.request(Method::PUT, DEVICE, Some(&less)).await?, 400, "M_BAD_JSON");
    }
    expect_error(&alice.request(Method::GET, DEVICE, None).await?, 404, "M_NOT_FOUND");
    Ok(())
}

async fn it_is_advertised(env: Shared) -> Result<()> {
    let versions = env.nobody().get("/_matrix/client/versions").await?;
    assert_eq!(versions["unstable_features"]["org.matrix.msc3814"], true);
    Ok(())
}
