//! Typing and receipts: the two streams that carry no room events.

use std::time::Duration;

use anyhow::Result;
use matrixon_testkit::{
    client::{Client, Method, SyncQuery, escape, room_path},
    tests,
};
use serde_json::{Value, json};

use crate::env::{Env, Shared, expect_error, joined, list, sync_token};

tests![Env: typing_starts_and_stops, typing_ends_by_itself, typing_ends_with_leaving, nobody_types_for_others, receipts_are_seen, the_newest_receipt_counts,
    private_receipts_are_private, receipts_come_with_the_first_sync, strangers_send_no_receipts];

fn ephemeral<'a>(sync: &'a Value, room: &str, kind: &str) -> Option<&'a Value> {
    list(joined(sync, room), "/ephemeral/events").iter().find(|event| event["type"] == kind)
}

async fn set_typing(client: &Client, room: &str, typing: bool, timeout: u32) -> Result<()> {
    let path = room_path(room, &format!("typing/{}", escape(&client.user_id)));
    let body = if typing { json!({ "typing": true, "timeout": timeout }) } else { json!({ "typing": false }) };
    client.put(&path, &body).await?;
    Ok(())
}

/// Waits until `/sync` says that exactly these users type. Returns the token after that.
async fn await_typing(client: &Client, since: &str, room: &str, users: &[&str]) -> Result<String> {
    let found = client
        .sync_until(Some(since), |sync| {
            (ephemeral(sync, room, "m.typing")?["content"]["user_ids"] == json!(users)).then_some(())
        })
        .await?;
    Ok(found.1)
}

async fn typing_starts_and_stops(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    let mut since = sync_token(&alice).await?;
    for _ in 0..3 {
        set_typing(&bob, &room, true, 30_000).await?;
        since = await_typing(&alice, &since, &room, &[&bob.user_id]).await?;
        set_typing(&bob, &room, false, 0).await?;
        since = await_typing(&alice, &since, &room, &[]).await?;
    }
    Ok(())
}

async fn typing_ends_with_leaving(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    let since = sync_token(&alice).await?;
    set_typing(&bob, &room, true, 120_000).await?;
    let since = await_typing(&alice, &since, &room, &[&bob.user_id]).await?;
    bob.leave(&room).await?;
    await_typing(&alice, &since, &room, &[]).await?;
    Ok(())
}

async fn typing_ends_by_itself(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    let since = sync_token(&alice).await?;
    set_typing(&bob, &room, true, 5_000).await?;
    let since = await_typing(&alice, &since, &room, &[&bob.user_id]).await?;
    await_typing(&alice, &since, &room, &[]).await?;
    Ok(())
}

async fn nobody_types_for_others(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[]).await?;
    let body = json!({ "typing": true, "timeout": 1_000 });
    for user in [&alice, &bob] {
        let path = room_path(&room, &format!("typing/{}", escape(&user.user_id)));
        expect_error(&bob.request(Method::PUT, &path, Some(&body)).await?, 403, "M_FORBIDDEN");
    }
    Ok(())
}

async fn send_receipt(client: &Client, room: &str, kind: &str, event_id: &str) -> Result<()> {
    client.post(&room_path(room, &format!("receipt/{kind}/{}", escape(event_id))), &json!({})).await?;
    Ok(())
}

async fn receipts_are_seen(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    let event_id = alice.send(&room, "read me").await?;
    let since = sync_token(&alice).await?;
    send_receipt(&bob, &room, "m.read", &event_id).await?;
    for client in [&alice, &bob] {
        let (receipt, _) = client
            .sync_until(Some(&since), |sync| {
                let content = &ephemeral(sync, &room, "m.receipt")?["content"];
                Some(content[&event_id]["m.read"][&bob.user_id].clone()).filter(Value::is_object)
            })
            .await?;
        assert!(receipt["ts"].as_i64().is_some_and(|ts| ts > 1_600_000_000_000), "{receipt}");
    }
    Ok(())
}

async fn the_newest_receipt_counts(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    let first = alice.send(&room, "1").await?;
    let second = alice.send(&room, "2").await?;
    for event_id in [&first, &second] {
        send_receipt(&bob, &room, "m.read", event_id).await?;
    }
    let sync = alice.sync(&SyncQuery::default()).await?;
    let content = &ephemeral(&sync, &room, "m.receipt").unwrap_or_else(|| panic!("no receipt: {sync}"))["content"];
    assert!(content[&second]["m.read"][&bob.user_id].is_object(), "{content}");
    assert!(content[&first]["m.read"][&bob.user_id].is_null(), "{content}");
    Ok(())
}

async fn private_receipts_are_private(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    let event_id = alice.send(&room, "read me").await?;
    let (since, own) = (sync_token(&alice).await?, sync_token(&bob).await?);
    send_receipt(&bob, &room, "m.read.private", &event_id).await?;
    bob.sync_until(Some(&own), |sync| {
        let content = &ephemeral(sync, &room, "m.receipt")?["content"];
        content[&event_id]["m.read.private"][&bob.user_id].is_object().then_some(())
    })
    .await?;
    let sync = alice.sync(&SyncQuery::since(&since).wait(Duration::from_millis(500))).await?;
    assert!(ephemeral(&sync, &room, "m.receipt").is_none(), "{sync}");
    let sync = alice.sync(&SyncQuery::default()).await?;
    assert!(!sync.to_string().contains("m.read.private"), "{sync}");
    Ok(())
}

async fn receipts_come_with_the_first_sync(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    let event_id = alice.send(&room, "1").await?;
    send_receipt(&bob, &room, "m.read", &event_id).await?;
    let sync = alice.sync(&SyncQuery::default()).await?;
    let receipt = ephemeral(&sync, &room, "m.receipt").unwrap_or_else(|| panic!("no receipt: {sync}"));
    assert!(receipt["content"][&event_id]["m.read"][&bob.user_id].is_object(), "{receipt}");
    let later = alice.sync(&SyncQuery::since(sync["next_batch"].as_str().unwrap_or_default())).await?;
    assert!(ephemeral(&later, &room, "m.receipt").is_none(), "once is enough: {later}");
    Ok(())
}

async fn strangers_send_no_receipts(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[]).await?;
    let event_id = alice.send(&room, "1").await?;
    let path = room_path(&room, &format!("receipt/m.read/{}", escape(&event_id)));
    let reply = bob.request(Method::POST, &path, Some(&json!({}))).await?;
    assert!([403, 404].contains(&reply.status), "{} {}", reply.status, reply.text);
    let path = room_path(&room, &format!("receipt/org.example.none/{}", escape(&event_id)));
    assert_eq!(alice.request(Method::POST, &path, Some(&json!({}))).await?.status, 400);
    Ok(())
}
