//! Log-in by token, reuse of refresh tokens, limits on guessing, and what is known of where a session was seen.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures::future::join_all;
use matrixon_testkit::{
    client::{Client, Method, PASSWORD, escape, unique},
    tests,
};
use serde_json::{Value, json};

use crate::env::{Env, Shared, expect_error, expect_unserved, password_auth, sync_token};

tests![Env: a_login_token_logs_in_once, a_login_token_is_used_once_by_many, a_login_token_needs_the_password,
    a_spent_refresh_token_ends_its_session, guessing_is_limited, unknown_users_are_refused_alike, telephone_numbers_are_refused,
    sightings_of_cached_sessions_are_told, a_locked_user_hears_nothing_more];

const LOGIN: &str = "/_matrix/client/v3/login";
const WHOAMI: &str = "/_matrix/client/v3/account/whoami";
const GET_TOKEN: &str = "/_matrix/client/v1/login/get_token";

fn by_password(user: &str, password: &str) -> Value {
    json!({ "type": "m.login.password", "identifier": { "type": "m.id.user", "user": user }, "password": password })
}

async fn login_token(alice: &Client) -> Result<String> {
    let made = alice.post(GET_TOKEN, &json!({ "auth": password_auth(alice) })).await?;
    assert!(made["expires_in_ms"].as_u64().is_some_and(|ms| ms > 0), "{made}");
    Ok(made["login_token"].as_str().expect("a login token").to_owned())
}

async fn a_login_token_logs_in_once(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let flows = env.nobody().get(LOGIN).await?;
    let flow = json!({ "type": "m.login.token", "get_login_token": true });
    assert!(flows["flows"].as_array().is_some_and(|flows| flows.contains(&flow)), "{flows}");
    let capabilities = alice.get("/_matrix/client/v3/capabilities").await?;
    assert_eq!(capabilities["capabilities"]["m.get_login_token"]["enabled"], true);
    let body = json!({ "type": "m.login.token", "token": login_token(&alice).await?, "refresh_token": true });
    let session = env.nobody().post(LOGIN, &body).await?;
    assert_eq!(session["user_id"], alice.user_id.as_str());
    assert!(session["refresh_token"].is_string() && session["expires_in_ms"].is_u64(), "{session}");
    assert_ne!(session["device_id"], alice.device_id.as_str());
    expect_error(&env.nobody().request(Method::POST, LOGIN, Some(&body)).await?, 403, "M_FORBIDDEN");
    let unknown = json!({ "type": "m.login.token", "token": "none" });
    expect_error(&env.nobody().request(Method::POST, LOGIN, Some(&unknown)).await?, 403, "M_FORBIDDEN");
    Ok(())
}

async fn a_login_token_is_used_once_by_many(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let body = json!({ "type": "m.login.token", "token": login_token(&alice).await? });
    let nobody = env.nobody();
    let all = join_all((0..12).map(|_| nobody.request(Method::POST, LOGIN, Some(&body)))).await;
    let statuses = all.into_iter().map(|reply| reply.map(|reply| reply.status)).collect::<Result<Vec<_>>>()?;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 403).count(), 11, "{statuses:?}");
    Ok(())
}

async fn a_login_token_needs_the_password(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let reply = alice.request(Method::POST, GET_TOKEN, Some(&json!({}))).await?;
    assert_eq!(reply.status, 401, "{}", reply.text);
    assert!(reply.body["flows"].is_array() && reply.body["session"].is_string(), "{}", reply.text);
    let foreign = json!({ "auth": password_auth(&bob) });
    let reply = alice.request(Method::POST, GET_TOKEN, Some(&foreign)).await?;
    assert!([401, 403].contains(&reply.status), "{} {}", reply.status, reply.text);
    Ok(())
}

async fn a_spent_refresh_token_ends_its_session(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let mut body = by_password(alice.localpart(), PASSWORD);
    body["refresh_token"] = json!(true);
    let first = env.nobody().post(LOGIN, &body).await?;
    let refresh = "/_matrix/client/v3/refresh";
    let token_of = |tokens: &Value| json!({ "refresh_token": tokens["refresh_token"] });
    let second = env.nobody().post(refresh, &token_of(&first)).await?;
    let session = alice.with_token(second["access_token"].as_str().unwrap_or_default());
    for gateway in 0..session.gateways() {
        session.pinned(gateway).get(WHOAMI).await?;
    }
    let reused = env.nobody().request(Method::POST, refresh, Some(&token_of(&first))).await?;
    expect_error(&reused, 401, "M_UNKNOWN_TOKEN");
    assert_eq!(reused.body["soft_logout"], true, "{}", reused.text);
    // whoever holds the newer tokens is out as well, within a second and at every gateway
    expect_unserved(&session, Instant::now() + Duration::from_secs(1)).await?;
    let ended = session.request(Method::GET, WHOAMI, None).await?;
    expect_error(&ended, 401, "M_UNKNOWN_TOKEN");
    assert_eq!(ended.body["soft_logout"], true, "{}", ended.text);
    let reply = env.nobody().request(Method::POST, refresh, Some(&token_of(&second))).await?;
    expect_error(&reply, 401, "M_UNKNOWN_TOKEN");
    // the others of this user go on, and the device is there to be logged in to again
    alice.get(&format!("/_matrix/client/v3/devices/{}", first["device_id"].as_str().unwrap_or_default())).await?;
    Ok(())
}

async fn guessing_is_limited(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    for name in [alice.localpart().to_owned(), unique("nobody")] {
        let mut refused = None;
        for _ in 0..60 {
            let reply = env.nobody().request(Method::POST, LOGIN, Some(&by_password(&name, "wrong"))).await?;
            if reply.status == 429 {
                refused = Some(reply);
                break;
            }
            expect_error(&reply, 403, "M_FORBIDDEN");
        }
        let refused = refused.expect("the sixtieth guess is refused");
        expect_error(&refused, 429, "M_LIMIT_EXCEEDED");
        assert!(refused.body["retry_after_ms"].as_u64().is_some_and(|ms| ms > 0), "{}", refused.text);
        assert!(refused.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0), "{:?}", refused.headers);
    }
    // sessions that there are go on, and other accounts are not concerned
    alice.get(WHOAMI).await?;
    let bob = env.user("bob").await?;
    bob.login(bob.localpart()).await?;
    Ok(())
}

async fn unknown_users_are_refused_alike(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let nobody = unique("nobody");
    let address = json!({ "type": "m.id.thirdparty", "medium": "email", "address": format!("{nobody}@example.org") });
    let by_address = json!({ "type": "m.login.password", "identifier": address, "password": "wrong" });
    let bodies = [by_password(alice.localpart(), "wrong"), by_password(&nobody, "wrong"), by_address];
    for body in bodies {
        let reply = env.nobody().request(Method::POST, LOGIN, Some(&body)).await?;
        expect_error(&reply, 403, "M_FORBIDDEN");
        assert_eq!(reply.body["error"], "Invalid username or password");
    }
    Ok(())
}

async fn telephone_numbers_are_refused(env: Shared) -> Result<()> {
    let phone = json!({ "type": "m.id.phone", "country": "GB", "phone": "07700900001" });
    for identifier in [phone, json!({ "type": "org.example.unknown", "name": "x" })] {
        let body = json!({ "type": "m.login.password", "identifier": identifier, "password": PASSWORD });
        expect_error(&env.nobody().request(Method::POST, LOGIN, Some(&body)).await?, 403, "M_FORBIDDEN");
    }
    Ok(())
}

async fn sightings_of_cached_sessions_are_told(env: Shared) -> Result<()> {
    let (admin, alice) = (env.admin().await?, env.user("alice").await?);
    let path = format!("/_matrix/client/v3/admin/whois/{}", escape(&alice.user_id));
    let seen = async || {
        let whois = admin.get(&path).await?;
        let connection = whois["devices"][&alice.device_id]["sessions"][0]["connections"][0].clone();
        anyhow::Ok((connection["last_seen"].as_i64(), connection["user_agent"].clone()))
    };
    let (before, _) = seen().await?;
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        for gateway in 0..alice.gateways() {
            let pinned = alice.pinned(gateway);
            pinned.request_with(Method::GET, WHOAMI, &[("user-agent", "Spyglass/1.0")], Vec::new()).await?;
        }
        let (now, agent) = seen().await?;
        if now > before && agent == "Spyglass/1.0" {
            break;
        }
        assert!(Instant::now() < end, "never seen again: {now:?}, {agent}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let devices = alice.get("/_matrix/client/v3/devices").await?;
    assert!(devices["devices"][0]["last_seen_ip"].is_string(), "{devices}");
    Ok(())
}

/// Not even by a request that was waiting when that happened.
async fn a_locked_user_hears_nothing_more(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let (room, admin) = (env.room(&alice, &[&bob]).await?, env.admin().await?);
    let alice = alice.pinned(0);
    let since = escape(&sync_token(&alice).await?);
    let waiting = {
        let alice = alice.clone();
        let path = format!("/_matrix/client/v3/sync?timeout=30000&since={since}");
        tokio::spawn(async move { alice.request(Method::GET, &path, None).await })
    };
    let path = format!("/_matrix/client/v1/admin/lock/{}", escape(&alice.user_id));
    admin.put(&path, &json!({ "locked": true })).await?;
    while alice.request(Method::GET, WHOAMI, None).await?.status == 200 {}
    bob.send(&room, "not for everybody").await?;
    expect_error(&waiting.await??, 401, "M_USER_LOCKED");
    Ok(())
}
