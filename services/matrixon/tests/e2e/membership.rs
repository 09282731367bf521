//! Invite, join, leave, kick, ban, unban, forget, and what each lets one see.

use anyhow::Result;
use matrixon_testkit::{
    client::{Client, Method, escape, room_path},
    tests,
};
use serde_json::{Value, json};

use crate::env::{Env, Shared, bodies, expect_error, find_state, list, read_history};

tests![Env: an_invitation_is_needed, an_invitation_can_be_refused, kicked_users_may_return, banned_users_may_not,
    power_is_needed, a_forgotten_room_is_gone, those_who_left_see_what_they_saw, joined_history_begins_with_the_join,
    world_readable_is_for_all, joining_twice_is_harmless, join_bodies_may_be_empty, inviting_members_is_refused,
    profiles_are_in_member_events, the_last_one_can_leave];

async fn post(client: &Client, room: &str, action: &str, body: &Value) -> Result<matrixon_testkit::client::Reply> {
    client.request(Method::POST, &room_path(room, action), Some(body)).await
}

async fn membership(client: &Client, room: &str, user: &Client) -> Result<Value> {
    let path = room_path(room, &format!("state/m.room.member/{}", escape(&user.user_id)));
    Ok(client.get(&path).await?["membership"].take())
}

async fn an_invitation_is_needed(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[]).await?;
    expect_error(&post(&bob, &room, "join", &json!({})).await?, 403, "M_FORBIDDEN");
    alice.invite(&room, &bob.user_id).await?;
    assert_eq!(membership(&alice, &room, &bob).await?, "invite");
    assert_eq!(bob.join(&room).await?["room_id"], room.as_str());
    assert_eq!(membership(&alice, &room, &bob).await?, "join");
    bob.leave(&room).await?;
    assert_eq!(membership(&alice, &room, &bob).await?, "leave");
    expect_error(&post(&bob, &room, "join", &json!({})).await?, 403, "M_FORBIDDEN");
    Ok(())
}

async fn an_invitation_can_be_refused(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[]).await?;
    alice.invite(&room, &bob.user_id).await?;
    bob.leave(&room).await?;
    assert_eq!(membership(&alice, &room, &bob).await?, "leave");
    expect_error(&post(&bob, &room, "join", &json!({})).await?, 403, "M_FORBIDDEN");
    Ok(())
}

async fn kicked_users_may_return(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = alice.create_room(&json!({ "preset": "public_chat" })).await?;
    bob.join(&room).await?;
    let body = json!({ "user_id": bob.user_id, "reason": "noise" });
    alice.post(&room_path(&room, "kick"), &body).await?;
    let path = room_path(&room, &format!("state/m.room.member/{}", escape(&bob.user_id)));
    let member = alice.get(&path).await?;
    assert_eq!((&member["membership"], &member["reason"]), (&json!("leave"), &json!("noise")));
    bob.join(&room).await?;
    assert_eq!(membership(&alice, &room, &bob).await?, "join");
    Ok(())
}

async fn banned_users_may_not(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = alice.create_room(&json!({ "preset": "public_chat" })).await?;
    bob.join(&room).await?;
    let body = json!({ "user_id": bob.user_id });
    alice.post(&room_path(&room, "ban"), &body).await?;
    assert_eq!(membership(&alice, &room, &bob).await?, "ban");
    expect_error(&post(&bob, &room, "join", &json!({})).await?, 403, "M_FORBIDDEN");
    expect_error(&post(&alice, &room, "invite", &body).await?, 403, "M_FORBIDDEN");
    alice.post(&room_path(&room, "unban"), &body).await?;
    assert_eq!(membership(&alice, &room, &bob).await?, "leave");
    bob.join(&room).await?;
    Ok(())
}

async fn power_is_needed(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let carol = env.user("carol").await?;
    let room = env.room(&alice, &[&bob, &carol]).await?;
    for action in ["kick", "ban"] {
        for victim in [&carol, &alice] {
            let body = json!({ "user_id": victim.user_id });
            expect_error(&post(&bob, &room, action, &body).await?, 403, "M_FORBIDDEN");
        }
    }
    let outsider = env.user("outsider").await?;
    let body = json!({ "user_id": bob.user_id });
    expect_error(&post(&outsider, &room, "kick", &body).await?, 403, "M_FORBIDDEN");
    expect_error(&post(&outsider, &room, "invite", &body).await?, 403, "M_FORBIDDEN");
    Ok(())
}

async fn a_forgotten_room_is_gone(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    assert_eq!(post(&bob, &room, "forget", &json!({})).await?.status, 400, "one must leave first");
    bob.leave(&room).await?;
    bob.messages(&room, 'b', None, 1).await?;
    bob.post(&room_path(&room, "forget"), &json!({})).await?;
    expect_error(&bob.request(Method::GET, &room_path(&room, "messages?dir=b"), None).await?, 403, "M_FORBIDDEN");
    alice.invite(&room, &bob.user_id).await?;
    bob.join(&room).await?;
    bob.messages(&room, 'b', None, 1).await?;
    Ok(())
}

async fn those_who_left_see_what_they_saw(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    alice.send(&room, "before").await?;
    bob.leave(&room).await?;
    let later = alice.send(&room, "after").await?;
    alice.set_state(&room, "m.room.name", "", &json!({ "name": "a later name" })).await?;
    assert_eq!(bodies(&read_history(&bob, &room, 'b', 20).await?), ["before"]);
    assert_eq!(bodies(&read_history(&bob, &room, 'f', 20).await?), ["before"]);
    let reply = bob.request(Method::GET, &room_path(&room, &format!("event/{}", escape(&later))), None).await?;
    assert!([403, 404].contains(&reply.status), "{} {}", reply.status, reply.text);
    let state = bob.get(&room_path(&room, "state")).await?;
    assert!(find_state(list(&state, ""), "m.room.name", "").is_none(), "the state is that of their leaving");
    Ok(())
}

async fn joined_history_begins_with_the_join(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    for (visibility, wanted) in [("joined", vec!["2"]), ("invited", vec!["1", "2"]), ("shared", vec!["0", "1", "2"])] {
        let rule = json!({ "type": "m.room.history_visibility", "content": { "history_visibility": visibility } });
        let room = alice.create_room(&json!({ "preset": "private_chat", "initial_state": [rule] })).await?;
        alice.send(&room, "0").await?;
        alice.invite(&room, &bob.user_id).await?;
        alice.send(&room, "1").await?;
        bob.join(&room).await?;
        alice.send(&room, "2").await?;
        assert_eq!(bodies(&read_history(&bob, &room, 'f', 20).await?), wanted, "{visibility}");
    }
    Ok(())
}

async fn world_readable_is_for_all(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let rule = json!({ "type": "m.room.history_visibility", "content": { "history_visibility": "world_readable" } });
    let room = alice.create_room(&json!({ "preset": "private_chat", "initial_state": [rule] })).await?;
    let event_id = alice.send(&room, "for all").await?;
    assert_eq!(bodies(&read_history(&bob, &room, 'b', 20).await?), ["for all"]);
    bob.get(&room_path(&room, &format!("event/{}", escape(&event_id)))).await?;
    bob.get(&room_path(&room, "state")).await?;
    Ok(())
}

async fn joining_twice_is_harmless(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    for _ in 0..3 {
        assert_eq!(bob.join(&room).await?["room_id"], room.as_str());
    }
    let history = read_history(&alice, &room, 'f', 50).await?;
    let joins = history
        .iter()
        .filter(|event| event["state_key"] == bob.user_id.as_str() && event["content"]["membership"] == "join");
    assert_eq!(joins.count(), 1);
    Ok(())
}

async fn join_bodies_may_be_empty(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = alice.create_room(&json!({ "preset": "public_chat" })).await?;
    // matrix-nio says it is JSON, and sends nothing
    let paths = [room_path(&room, "join"), format!("/_matrix/client/v3/join/{}", escape(&room))];
    for path in paths {
        let reply = bob.request_raw(Method::POST, &path, "application/json", Vec::new()).await?;
        assert_eq!(reply.status, 200, "{}", reply.text);
        bob.leave(&room).await?;
    }
    Ok(())
}

async fn inviting_members_is_refused(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    let body = json!({ "user_id": bob.user_id });
    expect_error(&post(&alice, &room, "invite", &body).await?, 403, "M_FORBIDDEN");
    Ok(())
}

async fn profiles_are_in_member_events(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let path = format!("/_matrix/client/v3/profile/{}/displayname", escape(&bob.user_id));
    bob.put(&path, &json!({ "displayname": "Bob" })).await?;
    let room = env.room(&alice, &[&bob]).await?;
    let members = alice.get(&room_path(&room, "joined_members")).await?;
    assert_eq!(members["joined"][&bob.user_id]["display_name"], "Bob", "{members}");
    assert!(members["joined"][&alice.user_id].is_object(), "{members}");
    let body = alice.get(&room_path(&room, "members")).await?;
    let member = find_state(list(&body, "/chunk"), "m.room.member", &bob.user_id).expect("a member event");
    assert_eq!(member["content"]["displayname"], "Bob");
    Ok(())
}

async fn the_last_one_can_leave(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let room = env.room(&alice, &[]).await?;
    alice.send(&room, "alone").await?;
    alice.leave(&room).await?;
    assert_eq!(bodies(&read_history(&alice, &room, 'b', 20).await?), ["alone"]);
    let path = room_path(&room, "send/m.room.message/x");
    let reply = alice.request(Method::PUT, &path, Some(&json!({ "msgtype": "m.text", "body": "x" }))).await?;
    expect_error(&reply, 403, "M_FORBIDDEN");
    Ok(())
}
