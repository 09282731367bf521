//! Messages from device to device.

use std::time::Duration;

use anyhow::Result;
use matrixon_testkit::{
    client::{Client, Method, Reply, SyncQuery, escape, next_txn_id},
    tests,
};
use serde_json::{Value, json};

use crate::env::{Env, Shared, expect_error, list, sync_token};

tests![Env: they_come_until_they_are_acknowledged, repetitions_do_nothing, a_star_is_every_device, they_wake_their_device,
    they_keep_their_order, an_inbox_goes_with_its_device, strangers_are_passed_over, bad_ones_are_refused, every_answer_counts_keys];

async fn try_send(client: &Client, txn_id: &str, messages: &Value) -> Result<Reply> {
    let path = format!("/_matrix/client/v3/sendToDevice/org.example.test/{}", escape(txn_id));
    client.request(Method::PUT, &path, Some(&json!({ "messages": messages }))).await
}

async fn send(client: &Client, to: &Client, device: &str, content: Value) -> Result<()> {
    let messages = json!({ &to.user_id: { device: content } });
    let reply = try_send(client, &next_txn_id(), &messages).await?;
    assert_eq!((reply.status, &reply.body), (200, &json!({})), "{}", reply.text);
    Ok(())
}

/// The numbers in the messages of a response.
fn numbers(sync: &Value) -> Vec<i64> {
    list(sync, "/to_device/events").iter().filter_map(|event| event["content"]["n"].as_i64()).collect()
}

fn batch(sync: &Value) -> String {
    sync["next_batch"].as_str().unwrap_or_default().to_owned()
}

async fn they_come_until_they_are_acknowledged(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let before = sync_token(&bob).await?;
    send(&alice, &bob, &bob.device_id, json!({ "n": 1, "text": "\u{0} \u{1f600}", "deep": [{ "a": null }] })).await?;
    let mut after = String::new();
    for _ in 0..4 {
        let sync = bob.sync(&SyncQuery::since(&before)).await?;
        let content = json!({ "n": 1, "text": "\u{0} \u{1f600}", "deep": [{ "a": null }] });
        let event = json!({ "type": "org.example.test", "sender": alice.user_id, "content": content });
        assert_eq!(list(&sync, "/to_device/events"), [event], "{sync}");
        after = batch(&sync);
    }
    // acknowledged at one gateway, and then asked for at each
    let sync = bob.sync(&SyncQuery::since(&after)).await?;
    assert_eq!(numbers(&sync), [0; 0], "{sync}");
    for _ in 0..4 {
        assert_eq!(numbers(&bob.sync(&SyncQuery::since(&before)).await?), [0; 0]);
        assert_eq!(numbers(&bob.sync(&SyncQuery::default()).await?), [0; 0]);
    }
    Ok(())
}

async fn repetitions_do_nothing(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let messages = |n: i64| json!({ &bob.user_id: { &bob.device_id: { "n": n } } });
    for _ in 0..4 {
        assert_eq!(try_send(&alice, "same", &messages(1)).await?.status, 200);
    }
    // another device of the same user may use the same id
    let second = alice.login(alice.localpart()).await?;
    assert_eq!(try_send(&second, "same", &messages(2)).await?.status, 200);
    assert_eq!(numbers(&bob.sync(&SyncQuery::default()).await?), [1, 2]);
    Ok(())
}

async fn a_star_is_every_device(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let second = bob.login(bob.localpart()).await?;
    send(&alice, &bob, "*", json!({ "n": 1 })).await?;
    let third = bob.login(bob.localpart()).await?;
    assert_eq!(numbers(&bob.sync(&SyncQuery::default()).await?), [1]);
    assert_eq!(numbers(&second.sync(&SyncQuery::default()).await?), [1]);
    assert_eq!(numbers(&third.sync(&SyncQuery::default()).await?), [0; 0], "came later");
    Ok(())
}

async fn they_wake_their_device(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let mut since = sync_token(&bob).await?;
    for n in 0..4 {
        let waiting = {
            let (bob, query) = (bob.clone(), SyncQuery::since(&since).wait(Duration::from_secs(20)));
            tokio::spawn(async move { bob.sync(&query).await })
        };
        send(&alice, &bob, &bob.device_id, json!({ "n": n })).await?;
        let sync = tokio::time::timeout(Duration::from_secs(10), waiting).await???;
        assert_eq!(numbers(&sync), [n], "{sync}");
        since = batch(&sync);
    }
    Ok(())
}

async fn they_keep_their_order(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    for n in 0..130 {
        send(&alice, &bob, &bob.device_id, json!({ "n": n })).await?;
    }
    let first = bob.sync(&SyncQuery::default()).await?;
    assert_eq!(numbers(&first), (0..100).collect::<Vec<_>>(), "the first hundred");
    let second = bob.sync(&SyncQuery::since(&batch(&first)).wait(Duration::from_secs(10))).await?;
    assert_eq!(numbers(&second), (100..130).collect::<Vec<_>>(), "the rest, at once");
    assert_eq!(numbers(&bob.sync(&SyncQuery::since(&batch(&second))).await?), [0; 0]);
    Ok(())
}

async fn an_inbox_goes_with_its_device(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    send(&alice, &bob, &bob.device_id, json!({ "n": 1 })).await?;
    bob.post("/_matrix/client/v3/logout", &json!({})).await?;
    let body = json!({ "type": "m.login.password", "device_id": bob.device_id, "password": matrixon_testkit::client::PASSWORD,
        "identifier": { "type": "m.id.user", "user": bob.localpart() } });
    let session = env.nobody().post("/_matrix/client/v3/login", &body).await?;
    assert_eq!(session["device_id"], bob.device_id.as_str());
    let again = bob.with_token(session["access_token"].as_str().unwrap_or_default());
    let sync = again.sync(&SyncQuery::default()).await?;
    assert_eq!(numbers(&sync), [0; 0], "what was for the device before it: {sync}");
    send(&alice, &bob, &bob.device_id, json!({ "n": 2 })).await?;
    let (found, _) =
        again.sync_until(Some(&batch(&sync)), |sync| Some(numbers(sync)).filter(|all| !all.is_empty())).await?;
    assert_eq!(found, [2]);
    Ok(())
}

async fn strangers_are_passed_over(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let server = crate::env::server_name(&alice);
    let messages = json!({
        format!("@nobody-at-all:{server}"): { "*": {}, "D": {} },
        "@someone:elsewhere.example": { "*": {} },
        &bob.user_id: { "NONE": {}, "NUL\u{0}": {}, "x".repeat(2_000): {}, &bob.device_id: { "n": 1 } },
    });
    let reply = try_send(&alice, &next_txn_id(), &messages).await?;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(numbers(&bob.sync(&SyncQuery::default()).await?), [1]);
    Ok(())
}

async fn bad_ones_are_refused(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let to_self = |content: Value| json!({ &alice.user_id: { &alice.device_id: content } });
    for content in [json!("text"), json!(null), json!([])] {
        expect_error(&try_send(&alice, &next_txn_id(), &to_self(content)).await?, 400, "M_BAD_JSON");
    }
    let huge = json!({ "x": "x".repeat(66_000) });
    expect_error(&try_send(&alice, &next_txn_id(), &to_self(huge)).await?, 413, "M_TOO_LARGE");
    let path = "/_matrix/client/v3/sendToDevice/org.example.test/1";
    expect_error(&alice.request(Method::PUT, path, Some(&json!({}))).await?, 400, "M_BAD_JSON");
    expect_error(&env.nobody().request(Method::PUT, path, Some(&json!({}))).await?, 401, "M_MISSING_TOKEN");
    assert_eq!(list(&alice.sync(&SyncQuery::default()).await?, "/to_device/events").len(), 0);
    Ok(())
}

async fn every_answer_counts_keys(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let first = alice.sync(&SyncQuery::default()).await?;
    let idle = alice.sync(&SyncQuery::since(&batch(&first)).wait(Duration::from_millis(50))).await?;
    for sync in [first, idle] {
        assert_eq!(sync["device_one_time_keys_count"], json!({ "signed_curve25519": 0 }), "{sync}");
        assert_eq!(sync["device_unused_fallback_key_types"], json!([]), "{sync}");
    }
    Ok(())
}
