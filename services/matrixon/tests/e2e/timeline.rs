//! Sending, redacting and reading single events.

use anyhow::Result;
use matrixon_testkit::{
    client::{Method, SyncQuery, escape, next_txn_id, room_path},
    tests,
};
use serde_json::{Value, json};

use crate::env::{Env, Shared, bodies, event_ids, expect_error, list, timeline};

tests![Env: a_message_is_read_back, strangers_may_not_send, redaction_takes_the_content, redaction_needs_power,
    redaction_by_event_send, context_is_what_is_around, big_events_are_refused, odd_content_survives,
    an_unknown_event_is_not_found];

fn event_path(room: &str, event_id: &str) -> String {
    room_path(room, &format!("event/{}", escape(event_id)))
}

async fn a_message_is_read_back(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    let content = json!({ "msgtype": "m.text", "body": "hello", "org.example.extra": { "deep": [true, null, 1] } });
    let event_id = alice.send_content(&room, &next_txn_id(), &content).await?;
    assert!(event_id.starts_with('$') && event_id.len() == 44, "{event_id}");
    for client in [&alice, &bob] {
        let event = client.get(&event_path(&room, &event_id)).await?;
        assert_eq!(event["content"], content);
        assert_eq!(event["sender"], alice.user_id.as_str());
        assert_eq!((&event["type"], &event["room_id"]), (&json!("m.room.message"), &json!(room)));
        assert!(event.get("state_key").is_none() && event.get("auth_events").is_none(), "{event}");
    }
    Ok(())
}

async fn strangers_may_not_send(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[]).await?;
    let body = json!({ "msgtype": "m.text", "body": "x" });
    let path = room_path(&room, "send/m.room.message/t1");
    expect_error(&bob.request(Method::PUT, &path, Some(&body)).await?, 403, "M_FORBIDDEN");
    let event_id = alice.send(&room, "secret").await?;
    let reply = bob.request(Method::GET, &event_path(&room, &event_id), None).await?;
    assert!([403, 404].contains(&reply.status), "{} {}", reply.status, reply.text);
    let nowhere = room_path("!there-is-no-such-room:example.org", "send/m.room.message/t2");
    let reply = bob.request(Method::PUT, &nowhere, Some(&body)).await?;
    assert!([403, 404].contains(&reply.status), "{} {}", reply.status, reply.text);
    Ok(())
}

async fn redaction_takes_the_content(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    for version in ["10", "12"] {
        let body = json!({ "preset": "public_chat", "room_version": version });
        let room = alice.create_room(&body).await?;
        bob.join(&room).await?;
        let event_id = bob.send(&room, "gone").await?;
        let ((), since) = bob.sync_until(None, |_| Some(())).await?;
        let path = room_path(&room, &format!("redact/{}/{}", escape(&event_id), next_txn_id()));
        let redaction = alice.put(&path, &json!({ "reason": "spam" })).await?;
        let event = bob.get(&event_path(&room, &event_id)).await?;
        assert_eq!(event["content"], json!({}), "{event}");
        let because = &event["unsigned"]["redacted_because"];
        assert_eq!((&because["event_id"], &because["content"]["reason"]), (&redaction["event_id"], &json!("spam")));
        let (seen, _) = bob
            .sync_until(Some(&since), |sync| {
                timeline(sync, &room).iter().find(|event| event["type"] == "m.room.redaction").cloned()
            })
            .await?;
        // clients know either of the two places
        assert_eq!((&seen["redacts"], &seen["event_id"]), (&json!(event_id), &redaction["event_id"]), "{seen}");
        if version == "12" {
            assert_eq!(seen["content"]["redacts"], event_id.as_str());
        }
    }
    Ok(())
}

async fn redaction_needs_power(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    let event_id = alice.send(&room, "stays").await?;
    let path = room_path(&room, &format!("redact/{}/{}", escape(&event_id), next_txn_id()));
    expect_error(&bob.request(Method::PUT, &path, Some(&json!({}))).await?, 403, "M_FORBIDDEN");
    let own = bob.send(&room, "goes").await?;
    bob.put(&room_path(&room, &format!("redact/{}/{}", escape(&own), next_txn_id())), &json!({})).await?;
    assert_eq!(alice.get(&event_path(&room, &own)).await?["content"], json!({}));
    assert_eq!(alice.get(&event_path(&room, &event_id)).await?["content"]["body"], "stays");
    Ok(())
}

async fn redaction_by_event_send(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    for version in ["10", "12"] {
        let room = alice.create_room(&json!({ "room_version": version })).await?;
        let event_id = alice.send(&room, "gone").await?;
        let path = room_path(&room, &format!("send/m.room.redaction/{}", next_txn_id()));
        alice.put(&path, &json!({ "redacts": event_id })).await?;
        assert_eq!(alice.get(&event_path(&room, &event_id)).await?["content"], json!({}), "version {version}");
    }
    Ok(())
}

async fn context_is_what_is_around(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let room = env.room(&alice, &[]).await?;
    let mut sent = Vec::new();
    for number in 0..11 {
        sent.push(alice.send(&room, &number.to_string()).await?);
    }
    let path = |limit: u32| room_path(&room, &format!("context/{}?limit={limit}", escape(&sent[5])));
    let body = alice.get(&path(6)).await?;
    assert_eq!(body["event"]["event_id"], sent[5].as_str());
    assert_eq!(bodies(list(&body, "/events_before")), ["4", "3", "2"]);
    assert_eq!(bodies(list(&body, "/events_after")), ["6", "7", "8"]);
    assert!(list(&body, "/state").iter().any(|event| event["type"] == "m.room.create"), "{body}");
    let before = alice.messages(&room, 'b', body["start"].as_str(), 2).await?;
    assert_eq!(bodies(list(&before, "/chunk")), ["1", "0"], "start goes on where the page ended");
    let after = alice.messages(&room, 'f', body["end"].as_str(), 10).await?;
    assert_eq!(bodies(list(&after, "/chunk")), ["9", "10"], "end goes on where the page ended");
    let alone = alice.get(&path(0)).await?;
    assert!(list(&alone, "/events_before").is_empty() && list(&alone, "/events_after").is_empty(), "{alone}");
    Ok(())
}

async fn big_events_are_refused(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let room = env.room(&alice, &[]).await?;
    let path = room_path(&room, &format!("send/m.room.message/{}", next_txn_id()));
    let big = json!({ "msgtype": "m.text", "body": "x".repeat(70_000) });
    expect_error(&alice.request(Method::PUT, &path, Some(&big)).await?, 413, "M_TOO_LARGE");
    let fits = "x".repeat(60_000);
    let event_id = alice.send(&room, &fits).await?;
    assert_eq!(alice.get(&event_path(&room, &event_id)).await?["content"]["body"], fits.as_str());
    Ok(())
}

async fn odd_content_survives(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let room = env.room(&alice, &[]).await?;
    let texts = [
        "",
        "\u{202e}reversed",
        "a\tb\r\nc",
        "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 \u{10ffff}",
        "\"quotes\" \\ and / slashes",
        "'; drop table events; --",
    ];
    for text in texts {
        let event_id = alice.send(&room, text).await?;
        assert_eq!(alice.get(&event_path(&room, &event_id)).await?["content"]["body"], text);
    }
    let page = alice.messages(&room, 'b', None, 6).await?;
    let mut seen = bodies(list(&page, "/chunk"));
    seen.reverse();
    assert_eq!(seen, texts);
    let sync = alice.sync(&SyncQuery::default()).await?;
    assert!(event_ids(timeline(&sync, &room)).len() >= texts.len());
    // integers at the edge of canonical JSON
    let content =
        json!({ "msgtype": "m.text", "body": "n", "n": [9_007_199_254_740_991_i64, -9_007_199_254_740_991_i64] });
    let event_id = alice.send_content(&room, &next_txn_id(), &content).await?;
    assert_eq!(alice.get(&event_path(&room, &event_id)).await?["content"], content);
    Ok(())
}

async fn an_unknown_event_is_not_found(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let room = env.room(&alice, &[]).await?;
    for event_id in ["$none", "$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "$old:example.org"] {
        let reply = alice.request(Method::GET, &event_path(&room, event_id), None).await?;
        expect_error(&reply, 404, "M_NOT_FOUND");
        let path = room_path(&room, &format!("context/{}", escape(event_id)));
        expect_error(&alice.request(Method::GET, &path, None).await?, 404, "M_NOT_FOUND");
    }
    let other = env.room(&alice, &[]).await?;
    let elsewhere = alice.send(&other, "x").await?;
    let reply = alice.request(Method::GET, &event_path(&room, &elsewhere), None).await?;
    expect_error(&reply, 404, "M_NOT_FOUND");
    assert_eq!(reply.body.get("event_id"), None::<&Value>);
    Ok(())
}
