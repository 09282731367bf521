//! Registration: flows, names, tokens, retries.

use http::Method;
use matrixon_proto::admin::v1::CreateRegistrationTokenRequest;
use matrixon_store::sql;
use serde_json::{Value, json};

use super::{
    administration::{create_token, list_tokens, revoke_token},
    on_both,
};
use crate::{Config, config::PasswordConfig, tests::harness::open};

fn closed() -> Config {
    Config { password: PasswordConfig::insecure(), ..Config::default() }
}

#[tokio::test]
async fn the_dummy_flow_in_two_steps() {
    on_both(open(), |server| async move {
        let body = json!({ "username": "Alice", "password": "secret", "initial_device_display_name": "phone" });
        let reply = server.post("/v3/register", None, body.clone()).await;
        let session = reply.challenged();
        assert_eq!(reply.body["flows"][0]["stages"], json!(["m.login.dummy"]));
        assert!(reply.body.get("errcode").is_none());

        let mut body = body;
        body["auth"] = json!({ "type": "m.login.dummy", "session": session });
        let reply = server.post("/v3/register", None, body).await.ok();
        assert_eq!(reply["user_id"], "@alice:example.org");
        assert!(reply.get("refresh_token").is_none());
        let token = reply["access_token"].as_str().unwrap();
        assert!(token.starts_with("mxa_") && token.len() >= 36);

        let whoami = server.get("/v3/account/whoami", Some(token)).await.ok();
        assert_eq!(whoami["user_id"], "@alice:example.org");
        assert_eq!(whoami["device_id"], reply["device_id"]);
        let devices = server.get("/v3/devices", Some(token)).await.ok();
        assert_eq!(devices["devices"][0]["display_name"], "phone");
        assert_eq!(devices["devices"][0]["last_seen_ip"], "192.0.2.7");
    })
    .await;
}

#[tokio::test]
async fn names_are_checked_before_and_after_authentication() {
    on_both(open(), |server| async move {
        server.register("alice").await;
        for (username, errcode) in [
            ("alice", "M_USER_IN_USE"),
            ("ALICE", "M_USER_IN_USE"),
            ("_b", "M_INVALID_USERNAME"),
            ("é", "M_INVALID_USERNAME"),
        ] {
            let body = json!({ "username": username, "password": "secret" });
            server.post("/v3/register", None, body).await.refused(400, errcode);
        }
        server.get("/v3/register/available?username=alice", None).await.refused(400, "M_USER_IN_USE");
        server.get("/v3/register/available?username=a%20b", None).await.refused(400, "M_INVALID_USERNAME");
        assert_eq!(server.get("/v3/register/available?username=bob", None).await.ok()["available"], true);

        let body = json!({ "username": "bob", "password": "secret" });
        let session = server.post("/v3/register", None, body.clone()).await.challenged();
        server.register("bob").await;
        let mut body = body;
        body["auth"] = json!({ "type": "m.login.dummy", "session": session });
        server.post("/v3/register", None, body).await.refused(400, "M_USER_IN_USE");
    })
    .await;
}

#[tokio::test]
async fn generated_names_no_login_and_no_guests() {
    on_both(open(), |server| async move {
        let body = json!({ "password": "secret", "inhibit_login": true, "auth": { "type": "m.login.dummy" } });
        let reply = server.post("/v3/register", None, body).await.ok();
        assert!(reply["user_id"].as_str().unwrap().ends_with(":example.org"));
        assert!(reply.get("access_token").is_none() && reply.get("device_id").is_none());

        server.post("/v3/register?kind=guest", None, json!({})).await.refused(403, "M_FORBIDDEN");
        let body = json!({ "username": "bob", "auth": { "type": "m.login.dummy" } });
        server.post("/v3/register", None, body).await.refused(400, "M_MISSING_PARAM");
        let body = json!({ "username": "bob", "password": "", "auth": { "type": "m.login.dummy" } });
        server.post("/v3/register", None, body).await.refused(400, "M_WEAK_PASSWORD");
        let body = json!({ "username": "bob", "password": "secret", "device_id": "x".repeat(300) });
        server.post("/v3/register", None, body).await.refused(400, "M_INVALID_PARAM");
    })
    .await;
}

#[tokio::test]
async fn closed_registration_needs_a_token() {
    on_both(closed(), |server| async move {
        let body = json!({ "username": "alice", "password": "secret", "auth": { "type": "m.login.dummy" } });
        let reply = server.post("/v3/register", None, body.clone()).await;
        reply.challenged();
        assert_eq!(reply.body["flows"], json!([{ "stages": ["m.login.registration_token"] }]));

        let token = create_token(&server, CreateRegistrationTokenRequest::default()).await;
        let mut body = body;
        body["auth"] = json!({ "type": "m.login.registration_token", "token": "wrong" });
        let reply = server.post("/v3/register", None, body.clone()).await;
        reply.challenged();
        assert_eq!(reply.body["errcode"], "M_UNAUTHORIZED");

        body["auth"]["token"] = token.token.as_str().into();
        server.post("/v3/register", None, body).await.ok();
        let path = |token: &str| format!("/v1/register/m.login.registration_token/validity?token={token}");
        assert_eq!(server.get(&path(&token.token), None).await.ok()["valid"], true);
        assert_eq!(server.get(&path("wrong"), None).await.ok()["valid"], false);
        let tokens = list_tokens(&server).await;
        assert_eq!(tokens[0].completed, 1);
        revoke_token(&server, &token.token).await;
        assert_eq!(server.get(&path(&token.token), None).await.ok()["valid"], false);
    })
    .await;
}

#[tokio::test]
async fn nobody_may_register() {
    let config = Config { token_registration: false, ..closed() };
    on_both(config, |server| async move {
        server.post("/v3/register", None, json!({})).await.refused(403, "M_FORBIDDEN");
        server.get("/v3/register/available?username=a", None).await.refused(403, "M_FORBIDDEN");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_registrations_with_the_last_use_one_succeeds() {
    on_both(closed(), |server| async move {
        let new = CreateRegistrationTokenRequest { uses_allowed: Some(1), ..Default::default() };
        let token = create_token(&server, new).await.token;
        let server = std::sync::Arc::new(server);
        let tries: Vec<_> = (0..12)
            .map(|n| {
                let (server, token) = (server.clone(), token.clone());
                tokio::spawn(async move {
                    let auth = json!({ "type": "m.login.registration_token", "token": token });
                    let body = json!({ "username": format!("user{n}"), "password": "secret", "auth": auth });
                    server.post("/v3/register", None, body).await
                })
            })
            .collect();
        let mut made = 0;
        for reply in tries {
            let reply = reply.await.unwrap();
            if reply.status.is_success() {
                made += 1;
            } else {
                reply.refused(401, "M_UNAUTHORIZED");
            }
        }
        assert_eq!(made, 1);
        let (users,) = sql!(server.db.read(), fetch_one as (i64,), "select count(*) from users").unwrap();
        assert_eq!(users, 1);
        assert_eq!(list_tokens(&server).await[0].completed, 1);
    })
    .await;
}

#[tokio::test]
async fn an_expired_token_is_none() {
    on_both(closed(), |server| async move {
        let expires_ts = Some(server.clock.now_ms() + 1_000);
        let new = CreateRegistrationTokenRequest { token: Some("soon".to_owned()), expires_ts, ..Default::default() };
        create_token(&server, new).await;
        server.clock.advance(std::time::Duration::from_secs(2));
        let auth = json!({ "type": "m.login.registration_token", "token": "soon" });
        let body = json!({ "username": "alice", "password": "secret", "auth": auth });
        server.post("/v3/register", None, body).await.challenged();
    })
    .await;
}

#[tokio::test]
async fn a_retry_of_the_same_request_succeeds_once_more() {
    on_both(closed(), |server| async move {
        let new = CreateRegistrationTokenRequest { uses_allowed: Some(1), ..Default::default() };
        let token = create_token(&server, new).await.token;
        let auth = json!({ "type": "m.login.registration_token", "token": token });
        let body = json!({ "password": "secret", "auth": auth });
        let send = |key: &'static str| server.send_as(Method::POST, "/v3/register", None, body.clone(), key);
        let first = send("one").await.ok();
        let again = send("one").await.ok();
        assert_eq!((&first["user_id"], &first["device_id"]), (&again["user_id"], &again["device_id"]));
        assert_ne!(first["access_token"], again["access_token"]);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        server.authenticate(&text(&again["access_token"])).await.unwrap();
        assert!(server.authenticate(&text(&first["access_token"])).await.is_err());
        send("two").await.refused(401, "M_UNAUTHORIZED");
        let (devices,) = sql!(server.db.read(), fetch_one as (i64,), "select count(*) from devices").unwrap();
        assert_eq!(devices, 1);
    })
    .await;
}
