//! Profiles: fields, limits, and rooms that hear of a new name.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use matrixon_testkit::{
    client::{Client, Method, escape, room_path},
    tests,
};
use serde_json::{Value, json};

use crate::env::{Env, Shared, expect_error, list};

tests![Env: profile_fields_are_set_and_deleted, profile_limits, profiles_of_others, profile_change_shows_in_rooms,
    newest_profile_wins, rooms_need_not_hear_of_it, a_name_does_not_bring_back_who_left];

fn path(client: &Client, field: &str) -> String {
    format!("/_matrix/client/v3/profile/{}/{field}", escape(&client.user_id))
}

async fn set(client: &Client, field: &str, value: Value) -> Result<()> {
    client.put(&path(client, field), &json!({ field: value })).await.map(|_| ())
}

async fn profile(client: &Client) -> Result<Value> {
    client.get(&format!("/_matrix/client/v3/profile/{}", escape(&client.user_id))).await
}

async fn profile_fields_are_set_and_deleted(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let values = [
        ("m.tz", json!("Europe/London")),
        ("org.example.job", json!({ "title": "Engineer", "since": [2020, 1.5, null] })),
        ("org.example.nothing", json!(null)),
        ("org.example.text", json!("\u{1f430} \u{202e}")),
    ];
    for (field, value) in &values {
        set(&alice, field, value.clone()).await?;
        assert_eq!(env.nobody().get(&path(&alice, field)).await?, json!({ *field: value }));
    }
    let whole = profile(&alice).await?;
    for (field, value) in &values {
        assert_eq!(&whole[*field], value, "{whole}");
    }
    assert_eq!(whole["displayname"], alice.localpart());
    assert!(whole.get("avatar_url").is_none(), "{whole}");
    let unstable = path(&alice, "m.tz").replace("/v3/", "/unstable/uk.tcpip.msc4133/");
    assert_eq!(alice.get(&unstable).await?, json!({ "m.tz": "Europe/London" }));

    for field in ["org.example.job", "org.example.never", "displayname"] {
        assert_eq!(alice.call(Method::DELETE, &path(&alice, field), None).await?, json!({}));
        alice.call(Method::DELETE, &path(&alice, field), None).await?;
    }
    let gone = alice.request(Method::GET, &path(&alice, "org.example.job"), None).await?;
    expect_error(&gone, 404, "M_NOT_FOUND");
    let whole = profile(&alice).await?;
    assert!(whole.get("displayname").is_none() && whole.get("org.example.job").is_none(), "{whole}");
    Ok(())
}

async fn profile_limits(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let put =
        async |field: &str, body: Value| alice.request(Method::PUT, &path(&alice, &escape(field)), Some(&body)).await;
    let long = format!("org.{}", "x".repeat(252));
    expect_error(&put(&long, json!({ &long: 1 })).await?, 400, "M_KEY_TOO_LARGE");
    for field in ["Org.example", "\u{e4}", "1a", "a b", "..", "a/b"] {
        let reply = put(field, json!({ field: 1 })).await?;
        assert!(matches!(reply.status, 400 | 404), "{field}: {} {}", reply.status, reply.text);
    }
    expect_error(&put("m.tz", json!({ "m.tz": 7 })).await?, 400, "M_INVALID_PARAM");
    expect_error(&put("displayname", json!({ "displayname": null })).await?, 400, "M_INVALID_PARAM");
    expect_error(&put("org.example.a", json!({ "org.example.b": 1 })).await?, 400, "M_MISSING_PARAM");
    expect_error(&put("org.example.a", json!({ "org.example.a": "a\0b" })).await?, 400, "M_BAD_JSON");

    set(&alice, "org.example.big", json!("x".repeat(40_000))).await?;
    let reply = put("org.example.more", json!({ "org.example.more": "y".repeat(40_000) })).await?;
    expect_error(&reply, 400, "M_PROFILE_TOO_LARGE");
    set(&alice, "org.example.big", json!("small")).await?;
    set(&alice, "org.example.more", json!("y".repeat(40_000))).await?;
    let raw = alice
        .request_raw(
            Method::PUT,
            &path(&alice, "org.example.a"),
            "application/json",
            br#"{"org.example.a": "\ud800"}"#.to_vec(),
        )
        .await?;
    assert_eq!(raw.status, 400, "{}", raw.text);
    let raw = alice
        .request_raw(
            Method::PUT,
            &path(&alice, "org.example.a"),
            "application/json",
            br#"{"org.example.a": 1e400}"#.to_vec(),
        )
        .await?;
    assert_eq!(raw.status, 400, "{}", raw.text);
    assert_eq!(profile(&alice).await?["org.example.big"], "small");
    Ok(())
}

async fn profiles_of_others(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let body = json!({ "displayname": "Mallory" });
    expect_error(&bob.request(Method::PUT, &path(&alice, "displayname"), Some(&body)).await?, 403, "M_FORBIDDEN");
    expect_error(&bob.request(Method::DELETE, &path(&alice, "m.tz"), None).await?, 403, "M_FORBIDDEN");
    let nobody = env.nobody();
    expect_error(&nobody.request(Method::PUT, &path(&alice, "m.tz"), Some(&body)).await?, 401, "M_MISSING_TOKEN");
    for user in ["@nobody-at-all:example.org", "@stranger:elsewhere.example"] {
        let path = format!("/_matrix/client/v3/profile/{}", escape(user));
        expect_error(&nobody.request(Method::GET, &path, None).await?, 404, "M_NOT_FOUND");
        let path = format!("{path}/m.tz");
        expect_error(&nobody.request(Method::GET, &path, None).await?, 404, "M_NOT_FOUND");
    }
    let capabilities = alice.get("/_matrix/client/v3/capabilities").await?;
    assert_eq!(capabilities["capabilities"]["m.profile_fields"], json!({ "enabled": true }));
    Ok(())
}

async fn member(client: &Client, room: &str, user: &str) -> Result<Value> {
    client.get(&room_path(room, &format!("state/m.room.member/{}", escape(user)))).await
}

/// Waits until the member's content is as wanted.
async fn until_member(client: &Client, room: &str, user: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let content = member(client, room, user).await?;
        if wanted(&content) {
            return Ok(content);
        }
        ensure!(Instant::now() < end, "the membership of {user} stayed {content}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn profile_change_shows_in_rooms(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let mut rooms = Vec::new();
    for _ in 0..30 {
        rooms.push(env.room(&bob, &[&alice]).await?);
    }
    let custom = json!({ "membership": "join", "displayname": "old", "reason": "because", "org.example.pet": "cat" });
    alice.set_state(&rooms[0], "m.room.member", &alice.user_id, &custom).await?;
    let since = crate::env::sync_token(&bob).await?;
    set(&alice, "displayname", json!("Alice Liddell")).await?;
    set(&alice, "avatar_url", json!("mxc://example.org/rabbit")).await?;
    for room in &rooms {
        let is_new = |content: &Value| {
            content["displayname"] == "Alice Liddell" && content["avatar_url"] == "mxc://example.org/rabbit"
        };
        until_member(&bob, room, &alice.user_id, is_new).await?;
    }
    let kept = member(&bob, &rooms[0], &alice.user_id).await?;
    assert_eq!((&kept["reason"], &kept["org.example.pet"]), (&json!("because"), &json!("cat")));
    // bob hears of it as of any event, with what was before
    let room = rooms[7].clone();
    let (event, _) = bob
        .sync_until(Some(&since), |sync| {
            let events = list(&sync["rooms"]["join"][room.as_str()], "/timeline/events").to_vec();
            events.into_iter().find(|event| event["content"]["displayname"] == "Alice Liddell")
        })
        .await?;
    assert_eq!((&event["type"], &event["sender"]), (&json!("m.room.member"), &json!(alice.user_id)));
    assert_eq!(event["unsigned"]["prev_content"]["displayname"], alice.localpart(), "{event}");
    // a field that rooms do not show sends nothing
    set(&alice, "m.tz", json!("Europe/Paris")).await?;
    set(&alice, "displayname", json!("")).await?;
    let content = until_member(&bob, &rooms[0], &alice.user_id, |content| content.get("displayname").is_none()).await?;
    assert_eq!(content["avatar_url"], "mxc://example.org/rabbit");
    Ok(())
}

async fn newest_profile_wins(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let mut rooms = Vec::new();
    for _ in 0..10 {
        rooms.push(env.room(&bob, &[&alice]).await?);
    }
    for n in 0..15 {
        set(&alice, "displayname", json!(format!("Alice {n}"))).await?;
    }
    for room in &rooms {
        until_member(&bob, room, &alice.user_id, |content| content["displayname"] == "Alice 14").await?;
    }
    // new rooms have it from the start
    let room = env.room(&bob, &[&alice]).await?;
    assert_eq!(member(&bob, &room, &alice.user_id).await?["displayname"], "Alice 14");
    let invited = alice.create_room(&json!({ "invite": [bob.user_id] })).await?;
    assert_eq!(member(&alice, &invited, &alice.user_id).await?["displayname"], "Alice 14");
    assert_eq!(member(&alice, &invited, &bob.user_id).await?["displayname"], bob.localpart());
    Ok(())
}

async fn rooms_need_not_hear_of_it(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let (first, second) = (env.room(&bob, &[&alice]).await?, env.room(&bob, &[&alice]).await?);
    for (query, name) in [("propagate=false", "Quiet"), ("org.matrix.msc4069.propagate=false", "Quieter")] {
        alice.put(&format!("{}?{query}", path(&alice, "displayname")), &json!({ "displayname": name })).await?;
        assert_eq!(profile(&alice).await?["displayname"], name);
    }
    // what comes later in the stream has shown everywhere: so the quiet ones never will
    set(&alice, "avatar_url", json!("mxc://example.org/a")).await?;
    for room in [&first, &second] {
        let content = until_member(&bob, room, &alice.user_id, |content| content.get("avatar_url").is_some()).await?;
        assert_eq!(content["displayname"], "Quieter", "a change that is told tells the whole profile");
    }
    let history = crate::env::read_history(&bob, &first, 'f', 100).await?;
    let names: Vec<_> = history.iter().filter(|event| event["state_key"] == alice.user_id.as_str()).collect();
    assert!(names.iter().all(|event| event["content"]["displayname"] != "Quiet"), "{names:?}");
    Ok(())
}

async fn a_name_does_not_bring_back_who_left(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let stays = env.room(&bob, &[&alice]).await?;
    let room = bob.create_room(&json!({ "preset": "public_chat" })).await?;
    alice.join(&room).await?;
    alice.leave(&room).await?;
    let invited = bob.create_room(&json!({ "invite": [alice.user_id] })).await?;
    set(&alice, "displayname", json!("Alice Elsewhere")).await?;
    until_member(&bob, &stays, &alice.user_id, |content| content["displayname"] == "Alice Elsewhere").await?;
    assert_eq!(member(&bob, &room, &alice.user_id).await?["membership"], "leave");
    assert_eq!(member(&bob, &invited, &alice.user_id).await?["membership"], "invite");
    Ok(())
}
