//! The end of an account: sessions, rooms, its name, and what newcomers get of an erased one.

use std::time::{Duration, Instant};

use anyhow::Result;
use matrixon_testkit::{
    client::{Client, Method, PASSWORD, escape, room_path},
    tests,
};
use serde_json::{Value, json};

use crate::env::{Env, Shared, expect_error, expect_unserved, password_auth};

tests![Env: deactivation_needs_the_password, nothing_of_an_ended_account_works, an_ended_account_leaves_its_rooms,
    newcomers_get_erased_messages_redacted];

const DEACTIVATE: &str = "/_matrix/client/v3/account/deactivate";
const LOGIN: &str = "/_matrix/client/v3/login";
const WHOAMI: &str = "/_matrix/client/v3/account/whoami";

async fn deactivate(user: &Client, erase: bool) -> Result<Value> {
    user.post(DEACTIVATE, &json!({ "auth": password_auth(user), "erase": erase })).await
}

async fn deactivation_needs_the_password(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let reply = alice.request(Method::POST, DEACTIVATE, Some(&json!({}))).await?;
    assert_eq!(reply.status, 401, "{}", reply.text);
    assert!(reply.body["flows"].is_array(), "{}", reply.text);
    let mut auth = password_auth(&alice);
    auth["password"] = json!("wrong");
    let reply = alice.request(Method::POST, DEACTIVATE, Some(&json!({ "auth": auth }))).await?;
    expect_error(&reply, 401, "M_FORBIDDEN");
    alice.get(WHOAMI).await?;
    Ok(())
}

async fn nothing_of_an_ended_account_works(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let second = alice.login(alice.localpart()).await?;
    assert_eq!(deactivate(&alice, false).await?, json!({ "id_server_unbind_result": "success" }));
    let end = Instant::now() + Duration::from_secs(1);
    for session in [&alice, &second] {
        expect_unserved(session, end).await?;
        expect_error(&session.request(Method::GET, WHOAMI, None).await?, 401, "M_UNKNOWN_TOKEN");
    }
    let login = |password: &str| {
        let identifier = json!({ "type": "m.id.user", "user": alice.localpart() });
        json!({ "type": "m.login.password", "identifier": identifier, "password": password })
    };
    let nobody = env.nobody();
    expect_error(&nobody.request(Method::POST, LOGIN, Some(&login(PASSWORD))).await?, 403, "M_USER_DEACTIVATED");
    expect_error(&nobody.request(Method::POST, LOGIN, Some(&login("wrong"))).await?, 403, "M_FORBIDDEN");
    let body = json!({ "username": alice.localpart(), "password": PASSWORD });
    let taken = nobody.request(Method::POST, "/_matrix/client/v3/register", Some(&body)).await?;
    expect_error(&taken, 400, "M_USER_IN_USE");
    let path = format!("/_matrix/client/v3/register/available?username={}", alice.localpart());
    expect_error(&nobody.request(Method::GET, &path, None).await?, 400, "M_USER_IN_USE");
    let profile = format!("/_matrix/client/v3/profile/{}", escape(&alice.user_id));
    expect_error(&bob.request(Method::GET, &profile, None).await?, 404, "M_NOT_FOUND");
    Ok(())
}

async fn membership(client: &Client, room: &str, user: &Client) -> Result<Value> {
    let content = client.get(&room_path(room, &format!("state/m.room.member/{}", escape(&user.user_id)))).await?;
    Ok(content["membership"].clone())
}

/// The room service hears of it a moment later.
async fn wait_for_departure(client: &Client, room: &str, user: &Client) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(30);
    while membership(client, room, user).await? != "leave" {
        assert!(Instant::now() < end, "{} is still in {room}", user.user_id);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn an_ended_account_leaves_its_rooms(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let joined = env.room(&bob, &[&alice]).await?;
    let own = env.room(&alice, &[&bob]).await?;
    let invited = bob.create_room(&json!({ "preset": "private_chat", "invite": [alice.user_id] })).await?;
    deactivate(&alice, false).await?;
    for room in [&joined, &own, &invited] {
        wait_for_departure(&bob, room, &alice).await?;
    }
    Ok(())
}

async fn newcomers_get_erased_messages_redacted(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let carol = env.user("carol").await?;
    let room = alice.create_room(&json!({ "preset": "public_chat" })).await?;
    bob.join(&room).await?;
    let event = alice.send(&room, "remember me").await?;
    carol.join(&room).await?;
    let path = room_path(&room, &format!("event/{}", escape(&event)));
    assert_eq!(carol.get(&path).await?["content"]["body"], "remember me");
    deactivate(&alice, true).await?;
    // who was there still sees it, who came later does not (any more)
    assert_eq!(bob.get(&path).await?["content"]["body"], "remember me");
    assert_eq!(carol.get(&path).await?["content"], json!({}));
    let of = |page: &Value| {
        let chunk = page["chunk"].as_array().cloned().unwrap_or_default();
        chunk.into_iter().find(|one| one["event_id"] == event.as_str()).unwrap_or_default()
    };
    assert_eq!(of(&bob.messages(&room, 'b', None, 50).await?)["content"]["body"], "remember me");
    assert_eq!(of(&carol.messages(&room, 'b', None, 50).await?)["content"], json!({}));
    let synced = |body: &Value| {
        let events = body["rooms"]["join"][&room]["timeline"]["events"].as_array().cloned().unwrap_or_default();
        events.into_iter().find(|one| one["event_id"] == event.as_str()).unwrap_or_default()
    };
    let filter = escape(&json!({ "room": { "timeline": { "limit": 50 } } }).to_string());
    let path = format!("/_matrix/client/v3/sync?timeout=0&filter={filter}");
    assert_eq!(synced(&bob.get(&path).await?)["content"]["body"], "remember me");
    assert_eq!(synced(&carol.get(&path).await?)["content"], json!({}));
    Ok(())
}
