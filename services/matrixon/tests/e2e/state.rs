//! Room state: set, read, restricted, and members at a point of time.

use anyhow::Result;
use matrixon_testkit::{
    client::{Method, escape, room_path},
    tests,
};
use serde_json::{Value, json};

use crate::env::{Env, Shared, expect_error, find_state, list, sync_token};

tests![Env: state_is_set_and_read, keys_may_be_anything, missing_state_is_not_found, power_levels_protect,
    foreign_member_state_is_refused, members_are_filtered, state_replaces_state, levels_cannot_be_exceeded];

async fn state_is_set_and_read(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    let event_id = alice.set_state(&room, "m.room.topic", "", &json!({ "topic": "All" })).await?;
    for path in ["state/m.room.topic", "state/m.room.topic/"] {
        assert_eq!(bob.get(&room_path(&room, path)).await?, json!({ "topic": "All" }), "{path}");
    }
    let event = bob.get(&room_path(&room, "state/m.room.topic?format=event")).await?;
    assert_eq!((&event["event_id"], &event["sender"]), (&json!(event_id), &json!(alice.user_id)));
    let body = json!({ "topic": "without a slash" });
    alice.put(&room_path(&room, "state/m.room.topic"), &body).await?;
    assert_eq!(bob.get(&room_path(&room, "state/m.room.topic/")).await?, body);
    Ok(())
}

async fn keys_may_be_anything(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let room = env.room(&alice, &[]).await?;
    for key in ["plain", "with/slash", "with space", "ünicode ❤", "a%2Fb", "+&=?#", &"k".repeat(255)] {
        let content = json!({ "key": key });
        alice.set_state(&room, "org.example.key", key, &content).await?;
        let path = room_path(&room, &format!("state/org.example.key/{}", escape(key)));
        assert_eq!(alice.get(&path).await?, content, "{key}");
    }
    let path = room_path(&room, &format!("state/org.example.key/{}", "k".repeat(256)));
    let reply = alice.request(Method::PUT, &path, Some(&json!({}))).await?;
    assert!([400, 413].contains(&reply.status), "{} {}", reply.status, reply.text);
    Ok(())
}

async fn missing_state_is_not_found(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[]).await?;
    let path = room_path(&room, "state/org.example.none/key");
    expect_error(&alice.request(Method::GET, &path, None).await?, 404, "M_NOT_FOUND");
    for path in ["state", "state/m.room.create/", "members", "joined_members"] {
        expect_error(&bob.request(Method::GET, &room_path(&room, path), None).await?, 403, "M_FORBIDDEN");
    }
    Ok(())
}

async fn power_levels_protect(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    let path = room_path(&room, "state/m.room.name/");
    expect_error(&bob.request(Method::PUT, &path, Some(&json!({ "name": "mine" }))).await?, 403, "M_FORBIDDEN");
    let levels_path = room_path(&room, "state/m.room.power_levels/");
    let mut levels = alice.get(&levels_path).await?;
    levels["users"][&bob.user_id] = json!(50);
    alice.put(&levels_path, &levels).await?;
    bob.put(&path, &json!({ "name": "ours" })).await?;
    assert_eq!(alice.get(&path).await?["name"], "ours");
    Ok(())
}

async fn levels_cannot_be_exceeded(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    let path = room_path(&room, "state/m.room.power_levels/");
    let mut levels = alice.get(&path).await?;
    levels["users"][&bob.user_id] = json!(50);
    levels["events"]["m.room.power_levels"] = json!(50);
    alice.put(&path, &levels).await?;
    levels["users"][&bob.user_id] = json!(100);
    expect_error(&bob.request(Method::PUT, &path, Some(&levels)).await?, 403, "M_FORBIDDEN");
    for value in [json!("fifty"), json!(1.5), json!([]), json!(null)] {
        levels["users"][&bob.user_id] = value.clone();
        let reply = alice.request(Method::PUT, &path, Some(&levels)).await?;
        assert!([400, 403].contains(&reply.status), "{value}: {} {}", reply.status, reply.text);
    }
    Ok(())
}

async fn foreign_member_state_is_refused(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let carol = env.user("carol").await?;
    let room = env.room(&alice, &[&bob]).await?;
    let join = json!({ "membership": "join" });
    for (client, user) in [(&alice, &carol), (&bob, &alice), (&alice, &bob)] {
        let path = room_path(&room, &format!("state/m.room.member/{}", escape(&user.user_id)));
        let content = json!({ "membership": "join", "displayname": "forged" });
        let content = if user.user_id == carol.user_id { &join } else { &content };
        expect_error(&client.request(Method::PUT, &path, Some(content)).await?, 403, "M_FORBIDDEN");
    }
    let path = room_path(&room, &format!("state/org.example.own/{}", escape(&alice.user_id)));
    expect_error(&bob.request(Method::PUT, &path, Some(&json!({}))).await?, 403, "M_FORBIDDEN");
    Ok(())
}

async fn members_are_filtered(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let carol = env.user("carol").await?;
    let room = env.room(&alice, &[&bob]).await?;
    let then = sync_token(&alice).await?;
    alice.invite(&room, &carol.user_id).await?;
    bob.leave(&room).await?;
    let ask = |query: String| {
        let (alice, path) = (alice.clone(), room_path(&room, &format!("members?{query}")));
        async move {
            let body = alice.get(&path).await?;
            let members = list(&body, "/chunk").iter();
            let keys = members.filter_map(|event| event["state_key"].as_str().map(ToOwned::to_owned));
            anyhow::Ok(keys.collect::<std::collections::BTreeSet<String>>())
        }
    };
    let set = |users: &[&matrixon_testkit::client::Client]| users.iter().map(|user| user.user_id.clone()).collect();
    assert_eq!(ask(String::new()).await?, set(&[&alice, &bob, &carol]));
    assert_eq!(ask("membership=join".into()).await?, set(&[&alice]));
    assert_eq!(ask("membership=invite".into()).await?, set(&[&carol]));
    assert_eq!(ask("not_membership=leave".into()).await?, set(&[&alice, &carol]));
    assert_eq!(ask(format!("at={}", escape(&then))).await?, set(&[&alice, &bob]));
    Ok(())
}

async fn state_replaces_state(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    let first = alice.set_state(&room, "org.example.s", "k", &json!({ "v": 1 })).await?;
    let since = sync_token(&bob).await?;
    alice.set_state(&room, "org.example.s", "k", &json!({ "v": 2 })).await?;
    let (event, _) = bob
        .sync_until(Some(&since), |sync| find_state(crate::env::timeline(sync, &room), "org.example.s", "k").cloned())
        .await?;
    assert_eq!(event["content"], json!({ "v": 2 }));
    assert_eq!(event["unsigned"]["replaces_state"], first.as_str(), "{event}");
    assert_eq!(event["unsigned"]["prev_content"], json!({ "v": 1 }), "{event}");
    let state = bob.get(&room_path(&room, "state")).await?;
    let all: Vec<&Value> = list(&state, "").iter().filter(|event| event["type"] == "org.example.s").collect();
    assert_eq!(all.len(), 1, "only the newest is current");
    Ok(())
}
