//! Registration, sessions, tokens, profiles.

use std::time::{Duration, Instant};

use anyhow::Result;
use matrixon_testkit::{
    client::{Client, Method, PASSWORD, escape, unique},
    tests,
};
use serde_json::{Value, json};

use crate::env::{Env, Shared, expect_error, expect_unserved, list, server_name};

tests![Env: registration_is_interactive, registration_can_skip_login, usernames_are_checked, a_stage_of_no_flow_is_refused,
    login_by_password, names_may_be_capitalised, a_device_has_one_token, logout_ends_one_session, logout_all_ends_every_session,
    tokens_are_needed_and_checked, refresh_tokens_rotate, capabilities_are_told, profile_is_set_and_seen, passwords_are_needed];

const REGISTER: &str = "/_matrix/client/v3/register";
const LOGIN: &str = "/_matrix/client/v3/login";
const WHOAMI: &str = "/_matrix/client/v3/account/whoami";

fn password_login(user: &str, password: &str) -> Value {
    json!({ "type": "m.login.password", "identifier": { "type": "m.id.user", "user": user }, "password": password })
}

async fn expect_dead(client: &Client) -> Result<()> {
    for gateway in 0..client.gateways() {
        let reply = client.pinned(gateway).request(Method::GET, WHOAMI, None).await?;
        expect_error(&reply, 401, "M_UNKNOWN_TOKEN");
    }
    Ok(())
}

async fn registration_is_interactive(env: Shared) -> Result<()> {
    let nobody = env.nobody();
    let name = unique("new");
    let mut body = json!({ "username": name, "password": PASSWORD });
    let reply = nobody.request(Method::POST, REGISTER, Some(&body)).await?;
    assert_eq!(reply.status, 401, "{}", reply.text);
    let flows = list(&reply.body, "/flows");
    assert!(flows.iter().any(|flow| flow["stages"] == json!(["m.login.dummy"])), "{}", reply.text);
    let session = reply.body["session"].as_str().expect("a session");
    body["auth"] = json!({ "type": "m.login.dummy", "session": session });
    let done = nobody.post(REGISTER, &body).await?;
    assert!(done["user_id"].as_str().is_some_and(|id| id.starts_with(&format!("@{name}:"))), "{done}");
    assert!(done["access_token"].is_string() && done["device_id"].is_string(), "{done}");
    let reply =
        nobody.request(Method::POST, REGISTER, Some(&json!({ "username": name, "password": PASSWORD }))).await?;
    expect_error(&reply, 400, "M_USER_IN_USE");
    Ok(())
}

async fn registration_can_skip_login(env: Shared) -> Result<()> {
    let nobody = env.nobody();
    let mut body = json!({ "username": unique("quiet"), "password": PASSWORD, "inhibit_login": true });
    let session = nobody.request(Method::POST, REGISTER, Some(&body)).await?.body["session"].take();
    body["auth"] = json!({ "type": "m.login.dummy", "session": session });
    let done = nobody.post(REGISTER, &body).await?;
    assert!(done["user_id"].is_string(), "{done}");
    assert!(done.get("access_token").is_none() && done.get("device_id").is_none(), "{done}");
    Ok(())
}

async fn usernames_are_checked(env: Shared) -> Result<()> {
    let nobody = env.nobody();
    for name in ["with space", "ünicode", "colon:colon", "a\u{0}b", "@at", &"x".repeat(300)] {
        let body = json!({ "username": name, "password": PASSWORD });
        let reply = nobody.request(Method::POST, REGISTER, Some(&body)).await?;
        assert_eq!(reply.status, 400, "{name:?}: {}", reply.text);
        assert!(["M_INVALID_USERNAME", "M_INVALID_PARAM", "M_BAD_JSON"].contains(&reply.errcode()), "{}", reply.text);
    }
    Ok(())
}

async fn a_stage_of_no_flow_is_refused(env: Shared) -> Result<()> {
    for auth in [json!({}), json!({ "type": "m.login.password" }), json!({ "type": "org.example.none" }), json!(7)] {
        let body = json!({ "username": unique("none"), "password": PASSWORD, "auth": auth });
        let reply = env.nobody().request(Method::POST, REGISTER, Some(&body)).await?;
        assert!((400..500).contains(&reply.status), "{auth}: {} {}", reply.status, reply.text);
    }
    Ok(())
}

async fn login_by_password(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let nobody = env.nobody();
    let flows = nobody.get(LOGIN).await?;
    assert!(list(&flows, "/flows").iter().any(|flow| flow["type"] == "m.login.password"), "{flows}");
    for user in [alice.localpart(), &alice.user_id] {
        let session = nobody.post(LOGIN, &password_login(user, PASSWORD)).await?;
        assert_eq!(session["user_id"], alice.user_id.as_str());
        assert_ne!(session["device_id"], alice.device_id.as_str());
    }
    let wrong = nobody.request(Method::POST, LOGIN, Some(&password_login(alice.localpart(), "wrong"))).await?;
    expect_error(&wrong, 403, "M_FORBIDDEN");
    let unknown = nobody.request(Method::POST, LOGIN, Some(&password_login(&unique("nobody"), PASSWORD))).await?;
    expect_error(&unknown, 403, "M_FORBIDDEN");
    let strange = nobody.request(Method::POST, LOGIN, Some(&json!({ "type": "org.example.magic" }))).await?;
    assert_eq!(strange.status, 400, "{}", strange.text);
    Ok(())
}

/// As phones do with the first letter.
async fn names_may_be_capitalised(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let (name, user_id) = (alice.localpart().replacen('a', "A", 1), alice.user_id.replacen('a', "A", 1));
    for written in [&name, &user_id, &name.to_uppercase()] {
        let session = env.nobody().post(LOGIN, &password_login(written, PASSWORD)).await?;
        assert_eq!(session["user_id"], alice.user_id.as_str(), "{written}");
        // and when the password is asked for again
        let mut auth = password_login(written, PASSWORD);
        let device = format!("/_matrix/client/v3/devices/{}", session["device_id"].as_str().unwrap_or_default());
        alice.call(Method::DELETE, &device, Some(&json!({ "auth": auth }))).await?;
        auth["password"] = json!("wrong");
        let wrong = env.nobody().request(Method::POST, LOGIN, Some(&auth)).await?;
        expect_error(&wrong, 403, "M_FORBIDDEN");
    }
    Ok(())
}

async fn a_device_has_one_token(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let mut body = password_login(alice.localpart(), PASSWORD);
    body["device_id"] = json!("PHONE");
    body["initial_device_display_name"] = json!("a phone");
    let first = env.nobody().post(LOGIN, &body).await?;
    let second = env.nobody().post(LOGIN, &body).await?;
    assert_eq!((&first["device_id"], &second["device_id"]), (&json!("PHONE"), &json!("PHONE")));
    let session = |body: &Value| alice.with_token(body["access_token"].as_str().unwrap_or_default());
    expect_dead(&session(&first)).await?;
    let whoami = session(&second).get(WHOAMI).await?;
    assert_eq!(whoami["device_id"], "PHONE");
    alice.get(WHOAMI).await?;
    Ok(())
}

async fn logout_ends_one_session(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let second = alice.login(alice.localpart()).await?;
    for gateway in 0..second.gateways() {
        second.pinned(gateway).get(WHOAMI).await?;
    }
    second.post("/_matrix/client/v3/logout", &json!({})).await?;
    expect_dead_soon(&second).await?;
    alice.get(WHOAMI).await?;
    Ok(())
}

async fn logout_all_ends_every_session(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let second = alice.login(alice.localpart()).await?;
    alice.post("/_matrix/client/v3/logout/all", &json!({})).await?;
    expect_dead_soon(&alice).await?;
    expect_dead_soon(&second).await
}

/// Revocation takes effect on every replica within one second.
async fn expect_dead_soon(client: &Client) -> Result<()> {
    expect_unserved(client, Instant::now() + Duration::from_secs(1)).await?;
    expect_dead(client).await
}

async fn tokens_are_needed_and_checked(env: Shared) -> Result<()> {
    let nobody = env.nobody();
    expect_error(&nobody.request(Method::GET, WHOAMI, None).await?, 401, "M_MISSING_TOKEN");
    for token in ["x", "mxt_0000000000000000000000000000000000000000", &"y".repeat(5_000)] {
        let stranger = nobody.with_token(token);
        expect_error(&stranger.request(Method::GET, WHOAMI, None).await?, 401, "M_UNKNOWN_TOKEN");
    }
    let alice = env.user("alice").await?;
    let token = alice.token.clone().unwrap_or_default();
    let whoami = nobody.get(&format!("{WHOAMI}?access_token={}", escape(&token))).await?;
    assert_eq!(whoami["user_id"], alice.user_id.as_str());
    assert_eq!(whoami["device_id"], alice.device_id.as_str());
    Ok(())
}

async fn refresh_tokens_rotate(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let mut body = password_login(alice.localpart(), PASSWORD);
    body["refresh_token"] = json!(true);
    let first = env.nobody().post(LOGIN, &body).await?;
    assert!(first["expires_in_ms"].as_u64().is_some_and(|ms| ms > 0), "{first}");
    let refresh = |body: &Value| json!({ "refresh_token": body["refresh_token"] });
    let second = env.nobody().post("/_matrix/client/v3/refresh", &refresh(&first)).await?;
    assert_ne!(first["access_token"], second["access_token"]);
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    let session = |body: &Value| alice.with_token(body["access_token"].as_str().unwrap_or_default());
    // once the new pair is used, the old refresh token is worthless
    session(&second).get(WHOAMI).await?;
    let path = "/_matrix/client/v3/refresh";
    let reused = env.nobody().request(Method::POST, path, Some(&refresh(&first))).await?;
    assert!([401, 403].contains(&reused.status), "{} {}", reused.status, reused.text);
    let wrong = env.nobody().request(Method::POST, path, Some(&json!({ "refresh_token": "none" }))).await?;
    expect_error(&wrong, 401, "M_UNKNOWN_TOKEN");
    Ok(())
}

async fn capabilities_are_told(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let body = alice.get("/_matrix/client/v3/capabilities").await?;
    let versions = &body["capabilities"]["m.room_versions"];
    assert_eq!(versions["default"], "12");
    for version in ["10", "11", "12"] {
        assert_eq!(versions["available"][version], "stable", "{body}");
    }
    Ok(())
}

async fn profile_is_set_and_seen(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let path = format!("/_matrix/client/v3/profile/{}", escape(&alice.user_id));
    alice.put(&format!("{path}/displayname"), &json!({ "displayname": "Alice ❤" })).await?;
    alice.put(&format!("{path}/avatar_url"), &json!({ "avatar_url": "mxc://example.org/abc" })).await?;
    let profile = env.nobody().get(&path).await?;
    assert_eq!(profile["displayname"], "Alice ❤");
    assert_eq!(profile["avatar_url"], "mxc://example.org/abc");
    assert_eq!(bob.get(&format!("{path}/displayname")).await?, json!({ "displayname": "Alice ❤" }));
    let body = json!({ "displayname": "Mallory" });
    let foreign = bob.request(Method::PUT, &format!("{path}/displayname"), Some(&body)).await?;
    expect_error(&foreign, 403, "M_FORBIDDEN");
    let unknown = format!("/_matrix/client/v3/profile/@{}:{}", unique("no"), server_name(&alice));
    expect_error(&bob.request(Method::GET, &unknown, None).await?, 404, "M_NOT_FOUND");
    Ok(())
}

async fn passwords_are_needed(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let mut body = password_login(alice.localpart(), PASSWORD);
    body.as_object_mut().expect("an object").remove("password");
    let reply = env.nobody().request(Method::POST, LOGIN, Some(&body)).await?;
    assert_eq!(reply.status, 400, "{}", reply.text);
    assert!(["M_BAD_JSON", "M_MISSING_PARAM"].contains(&reply.errcode()), "{}", reply.text);
    Ok(())
}
