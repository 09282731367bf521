//! createRoom in full, aliases, the list of one's rooms.

use anyhow::Result;
use matrixon_testkit::{
    client::{Client, Method, escape, room_path, unique},
    tests,
};
use serde_json::{Value, json};

use crate::env::{Env, Shared, expect_error, find_state, list, server_name};

tests![Env: a_room_of_the_default_version, presets_decide_the_rules, older_versions_are_offered, unknown_versions_are_refused,
    everything_given_is_in_the_room, power_levels_can_be_overridden, an_alias_is_given_and_unique, aliases_come_and_go,
    joined_rooms_are_listed, invitees_are_invited, trusted_invitees_are_trusted];

const CREATE: &str = "/_matrix/client/v3/createRoom";

async fn load_state(client: &Client, room: &str) -> Result<Vec<Value>> {
    let body = client.get(&room_path(room, "state")).await?;
    Ok(list(&body, "").to_vec())
}

fn content<'a>(state: &'a [Value], kind: &str) -> &'a Value {
    find_state(state, kind, "").map_or(&Value::Null, |event| &event["content"])
}

async fn a_room_of_the_default_version(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let room = alice.create_room(&json!({})).await?;
    let state = load_state(&alice, &room).await?;
    let create = find_state(&state, "m.room.create", "").expect("a create event");
    assert_eq!(create["content"]["room_version"], "12");
    assert!(create["content"].get("creator").is_none(), "{create}");
    // room version 12: the room's id is the id of its create event
    assert_eq!(room.trim_start_matches('!'), create["event_id"].as_str().unwrap_or("").trim_start_matches('$'));
    assert!(!room.contains(':'), "{room}");
    let levels = content(&state, "m.room.power_levels");
    assert!(levels["users"].get(&alice.user_id).is_none(), "a creator needs no power level: {levels}");
    let member = find_state(&state, "m.room.member", &alice.user_id).expect("the creator is a member");
    assert_eq!(member["content"]["membership"], "join");
    for event in &state {
        assert_eq!(event["room_id"], room.as_str());
        assert!(event["event_id"].is_string() && event["origin_server_ts"].is_i64(), "{event}");
    }
    Ok(())
}

async fn presets_decide_the_rules(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let cases = [
        (json!({ "preset": "private_chat" }), "invite", "can_join"),
        (json!({ "preset": "trusted_private_chat" }), "invite", "can_join"),
        (json!({ "preset": "public_chat" }), "public", "forbidden"),
        (json!({ "visibility": "public" }), "public", "forbidden"),
        (json!({ "visibility": "private" }), "invite", "can_join"),
    ];
    for (body, join_rule, guests) in cases {
        let room = alice.create_room(&body).await?;
        let state = load_state(&alice, &room).await?;
        assert_eq!(content(&state, "m.room.join_rules")["join_rule"], join_rule, "{body}");
        assert_eq!(content(&state, "m.room.history_visibility")["history_visibility"], "shared", "{body}");
        let access = find_state(&state, "m.room.guest_access", "");
        let access = access.map_or("forbidden", |event| event["content"]["guest_access"].as_str().unwrap_or(""));
        assert_eq!(access, guests, "{body}");
    }
    Ok(())
}

async fn older_versions_are_offered(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    for version in ["10", "11", "12"] {
        let room = alice.create_room(&json!({ "room_version": version, "preset": "public_chat" })).await?;
        let state = load_state(&alice, &room).await?;
        let create = content(&state, "m.room.create");
        assert_eq!(create["room_version"], version);
        assert_eq!(create.get("creator").is_some(), version == "10", "{create}");
        assert_eq!(room.contains(':'), version != "12", "{room}");
        bob.join(&room).await?;
        let event_id = bob.send(&room, "hello").await?;
        let event = alice.get(&room_path(&room, &format!("event/{}", escape(&event_id)))).await?;
        assert_eq!(event["content"]["body"], "hello");
    }
    Ok(())
}

async fn unknown_versions_are_refused(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let reply = alice.request(Method::POST, CREATE, Some(&json!({ "room_version": "9999" }))).await?;
    expect_error(&reply, 400, "M_UNSUPPORTED_ROOM_VERSION");
    Ok(())
}

async fn everything_given_is_in_the_room(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let room = alice
        .create_room(&json!({
            "name": "The name", "topic": "The topic",
            "creation_content": { "type": "m.space", "org.example.colour": "blue", "m.federate": false },
            "initial_state": [
                { "type": "m.room.history_visibility", "content": { "history_visibility": "joined" } },
                { "type": "org.example.thing", "state_key": "key", "content": { "a": [1, { "b": null }] } },
            ],
        }))
        .await?;
    let state = load_state(&alice, &room).await?;
    assert_eq!(content(&state, "m.room.name")["name"], "The name");
    assert_eq!(content(&state, "m.room.topic")["topic"], "The topic");
    assert_eq!(content(&state, "m.room.history_visibility")["history_visibility"], "joined");
    let create = content(&state, "m.room.create");
    assert_eq!((&create["type"], &create["org.example.colour"]), (&json!("m.space"), &json!("blue")));
    assert_eq!(create["m.federate"], false);
    let thing = find_state(&state, "org.example.thing", "key").expect("the initial state");
    assert_eq!(thing["content"], json!({ "a": [1, { "b": null }] }));
    Ok(())
}

async fn power_levels_can_be_overridden(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = alice
        .create_room(&json!({
            "preset": "public_chat",
            "power_level_content_override": { "events_default": 10, "users": { (bob.user_id.clone()): 5 } },
        }))
        .await?;
    let levels = load_state(&alice, &room).await?;
    let levels = content(&levels, "m.room.power_levels");
    assert_eq!(levels["events_default"], 10);
    assert_eq!(levels["users"][&bob.user_id], 5);
    assert_eq!(levels["events"]["m.room.power_levels"], 100, "the rest stays: {levels}");
    bob.join(&room).await?;
    let path = room_path(&room, "send/m.room.message/t");
    let reply = bob.request(Method::PUT, &path, Some(&json!({ "msgtype": "m.text", "body": "x" }))).await?;
    expect_error(&reply, 403, "M_FORBIDDEN");
    alice.send(&room, "x").await?;
    Ok(())
}

async fn an_alias_is_given_and_unique(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let name = unique("alias");
    let body = json!({ "room_alias_name": name, "preset": "public_chat" });
    let room = alice.create_room(&body).await?;
    let alias = format!("#{name}:{}", server_name(&alice));
    let state = load_state(&alice, &room).await?;
    assert_eq!(content(&state, "m.room.canonical_alias")["alias"], alias.as_str());
    expect_error(&bob.request(Method::POST, CREATE, Some(&body)).await?, 400, "M_ROOM_IN_USE");
    assert_eq!(bob.join(&alias).await?["room_id"], room.as_str());
    Ok(())
}

async fn aliases_come_and_go(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    let alias = format!("#{}:{}", unique("alias"), server_name(&alice));
    let path = format!("/_matrix/client/v3/directory/room/{}", escape(&alias));
    expect_error(&alice.request(Method::GET, &path, None).await?, 404, "M_NOT_FOUND");
    alice.put(&path, &json!({ "room_id": room })).await?;
    let found = env.nobody().get(&path).await?;
    assert_eq!(found["room_id"], room.as_str());
    assert!(!list(&found, "/servers").is_empty(), "{found}");
    let again = alice.request(Method::PUT, &path, Some(&json!({ "room_id": room }))).await?;
    assert_eq!(again.status, 409, "{}", again.text);
    let aliases = bob.get(&room_path(&room, "aliases")).await?;
    assert_eq!(aliases["aliases"], json!([alias]));
    expect_error(&bob.request(Method::DELETE, &path, None).await?, 403, "M_FORBIDDEN");
    alice.call(Method::DELETE, &path, None).await?;
    expect_error(&alice.request(Method::GET, &path, None).await?, 404, "M_NOT_FOUND");
    Ok(())
}

async fn joined_rooms_are_listed(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let path = "/_matrix/client/v3/joined_rooms";
    assert_eq!(bob.get(path).await?, json!({ "joined_rooms": [] }));
    let first = env.room(&alice, &[&bob]).await?;
    let second = env.room(&alice, &[&bob]).await?;
    let body = bob.get(path).await?;
    let mut rooms: Vec<&str> = list(&body, "/joined_rooms").iter().filter_map(Value::as_str).collect();
    rooms.sort_unstable();
    let mut wanted = [first.as_str(), second.as_str()];
    wanted.sort_unstable();
    assert_eq!(rooms, wanted);
    bob.leave(&first).await?;
    assert_eq!(bob.get(path).await?, json!({ "joined_rooms": [second] }));
    Ok(())
}

async fn invitees_are_invited(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let body = json!({ "invite": [bob.user_id], "is_direct": true, "name": "Us" });
    let room = alice.create_room(&body).await?;
    let state = load_state(&alice, &room).await?;
    let member = find_state(&state, "m.room.member", &bob.user_id).expect("an invitation");
    assert_eq!(member["content"]["membership"], "invite");
    assert_eq!(member["content"]["is_direct"], true);
    Ok(())
}

async fn trusted_invitees_are_trusted(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    for version in ["11", "12"] {
        let body = json!({ "preset": "trusted_private_chat", "invite": [bob.user_id], "room_version": version });
        let room = alice.create_room(&body).await?;
        let state = load_state(&alice, &room).await?;
        if version == "12" {
            assert_eq!(content(&state, "m.room.create")["additional_creators"], json!([bob.user_id]));
        } else {
            assert_eq!(content(&state, "m.room.power_levels")["users"][&bob.user_id], 100);
        }
    }
    Ok(())
}
