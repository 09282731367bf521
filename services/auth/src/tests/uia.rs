//! User-interactive authentication over HTTP.

use std::time::Duration;

use serde_json::json;

use super::{Harness, on_both};
use crate::{admin, tests::harness::open};

#[tokio::test]
async fn the_first_body_is_replayed() {
    on_both(open(), |server| async move {
        let body = json!({ "username": "alice", "password": "secret", "device_id": "PHONE" });
        let session = server.post("/v3/register", None, body).await.challenged();
        let auth = json!({ "auth": { "type": "m.login.dummy", "session": session } });
        let reply = server.post("/v3/register", None, auth.clone()).await.ok();
        assert_eq!(
            (reply["user_id"].as_str(), reply["device_id"].as_str()),
            (Some("@alice:example.org"), Some("PHONE"))
        );
        server.login("alice", json!({})).await.ok();
        // the session has made its account: shown again it leads there
        let again = server.post("/v3/register", None, auth).await.ok();
        assert_eq!(again["user_id"], "@alice:example.org");
        let whoami = server.get("/v3/account/whoami", again["access_token"].as_str()).await.ok();
        assert_eq!(whoami["user_id"], "@alice:example.org");
    })
    .await;
}

#[tokio::test]
async fn one_session_makes_one_account() {
    on_both(open(), |server| async move {
        for username in [json!({ "username": "alice" }), json!({})] {
            let mut body = username;
            body["password"] = json!("secret");
            let session = server.post("/v3/register", None, body.clone()).await.challenged();
            body["auth"] = json!({ "type": "m.login.dummy", "session": session });
            let first = server.post("/v3/register", None, body.clone()).await.ok();
            let again = server.post("/v3/register", None, body.clone()).await.ok();
            assert_eq!(first["user_id"], again["user_id"]);
            // who has found the session, but not the password, gets nothing
            body["password"] = json!("another");
            server.post("/v3/register", None, body).await.refused(403, "M_FORBIDDEN");
        }
    })
    .await;
}

#[tokio::test]
async fn a_registration_may_change_its_mind() {
    on_both(open(), |server| async move {
        let session = server.post("/v3/register", None, json!({})).await.challenged();
        let auth = json!({ "type": "m.login.dummy", "session": session });
        let body = json!({ "username": "alice", "password": "secret", "auth": auth });
        server.post("/v3/register", None, body).await.ok();
    })
    .await;
}

#[tokio::test]
async fn asking_how_far_and_unknown_stages() {
    on_both(open(), |server| async move {
        let body = json!({ "username": "alice", "password": "secret" });
        let session = server.post("/v3/register", None, body).await.challenged();
        let asked = server.post("/v3/register", None, json!({ "auth": { "session": session } })).await;
        assert_eq!(asked.challenged(), session);
        for stage in ["m.login.password", "m.login.recaptcha", "x"] {
            let auth = json!({ "auth": { "type": stage, "session": session, "password": "p" } });
            let reply = server.post("/v3/register", None, auth).await;
            assert_eq!(reply.challenged(), session);
            assert_eq!(reply.body["errcode"], "M_UNRECOGNIZED");
        }
        for auth in [json!(1), json!("x"), json!([]), json!({ "type": 1 }), json!({ "session": {} })] {
            server.post("/v3/register", None, json!({ "auth": auth })).await.refused(400, "M_BAD_JSON");
        }
    })
    .await;
}

#[tokio::test]
async fn a_flushed_cache_costs_nothing_but_time() {
    on_both(open(), |mut server: Harness| async move {
        let body = json!({ "username": "alice", "password": "secret" });
        let session = server.post("/v3/register", None, body.clone()).await.challenged();
        server.flush_cache().await;
        let mut body = body;
        body["auth"] = json!({ "type": "m.login.dummy", "session": session });
        server.post("/v3/register", None, body).await.ok();

        let token = server.login("alice", json!({ "device_id": "A" })).await.ok();
        let token = token["access_token"].as_str().unwrap();
        let reply = server.send(http::Method::DELETE, "/v3/devices/A", Some(token), json!({})).await;
        let session = reply.challenged();
        server.flush_cache().await;
        let auth = json!({ "type": "m.login.password", "session": session, "user": "alice", "password": "secret" });
        server.send(http::Method::DELETE, "/v3/devices/A", Some(token), json!({ "auth": auth })).await.ok();
    })
    .await;
}

#[tokio::test]
async fn sessions_expire() {
    on_both(open(), |server| async move {
        let body = json!({ "username": "alice", "password": "secret" });
        let session = server.post("/v3/register", None, body).await.challenged();
        server.clock.advance(Duration::from_secs(1_801));
        let auth = json!({ "auth": { "session": session } });
        assert_ne!(server.post("/v3/register", None, auth).await.challenged(), session);
    })
    .await;
}

#[tokio::test]
async fn a_session_of_another_endpoint_is_refused() {
    on_both(open(), |server| async move {
        let alice = server.register("alice").await;
        let session = server.post("/v3/register", None, json!({ "username": "bob" })).await.challenged();
        let auth = json!({ "type": "m.login.password", "session": session, "user": "alice", "password": "secret" });
        let body = json!({ "new_password": "x", "auth": auth });
        server.post("/v3/account/password", Some(&alice), body).await.refused(403, "M_FORBIDDEN");
    })
    .await;
}

#[tokio::test]
async fn either_flow_of_open_registration_will_do() {
    on_both(open(), |server| async move {
        let reply = server.post("/v3/register", None, json!({})).await;
        let flows = json!([{ "stages": ["m.login.dummy"] }, { "stages": ["m.login.registration_token"] }]);
        assert_eq!(reply.body["flows"], flows);
        let token = admin::ensure_bootstrap_token(&server.db).await.unwrap().unwrap();
        let auth = json!({ "type": "m.login.registration_token", "token": token, "session": reply.challenged() });
        let body = json!({ "username": "root", "password": "secret", "auth": auth });
        let reply = server.post("/v3/register", None, body).await.ok();
        assert!(server.authenticate(reply["access_token"].as_str().unwrap()).await.unwrap().admin);
    })
    .await;
}
