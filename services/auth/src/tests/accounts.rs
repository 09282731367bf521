//! Profiles, passwords, capabilities.

use http::Method;
use serde_json::json;

use super::on_both;
use crate::{accounts::localpart, tests::harness::open};

#[tokio::test]
async fn profiles() {
    on_both(open(), |server| async move {
        let alice = server.register("alice").await;
        let bob = server.register("bob").await;
        let path = "/v3/profile/@alice:example.org";
        assert_eq!(server.get(path, None).await.ok(), json!({ "displayname": "alice" }));

        let name = format!("{path}/displayname");
        server.put(&name, Some(&alice), json!({ "displayname": "Alice 🐰" })).await.ok();
        server
            .put(&format!("{path}/avatar_url"), Some(&alice), json!({ "avatar_url": "mxc://example.org/a" }))
            .await
            .ok();
        let profile = server.get(path, None).await.ok();
        assert_eq!(profile, json!({ "displayname": "Alice 🐰", "avatar_url": "mxc://example.org/a" }));
        assert_eq!(server.get(&name, None).await.ok(), json!({ "displayname": "Alice 🐰" }));

        server.put(&name, Some(&bob), json!({ "displayname": "x" })).await.refused(403, "M_FORBIDDEN");
        server.put(&name, None, json!({ "displayname": "x" })).await.refused(401, "M_MISSING_TOKEN");
        server.put(&name, Some(&alice), json!({})).await.refused(400, "M_MISSING_PARAM");
        server.put(&name, Some(&alice), json!({ "displayname": null })).await.refused(400, "M_INVALID_PARAM");
        server.put(&name, Some(&alice), json!({ "displayname": 1 })).await.refused(400, "M_INVALID_PARAM");
        server
            .put(&name, Some(&alice), json!({ "displayname": "x".repeat(257) }))
            .await
            .refused(400, "M_INVALID_PARAM");
        assert_eq!(server.put(&name, Some(&alice), json!({ "displayname": "a\0b" })).await.status, 400);
        server.put(&name, Some(&alice), json!({ "displayname": "" })).await.ok();
        assert_eq!(server.get(path, None).await.ok(), json!({ "avatar_url": "mxc://example.org/a" }));
        assert_eq!(server.get(&name, None).await.ok(), json!({}));

        server.get("/v3/profile/@nobody:example.org", None).await.refused(404, "M_NOT_FOUND");
        server.get("/v3/profile/nobody", None).await.refused(400, "M_INVALID_PARAM");
    })
    .await;
}

#[tokio::test]
async fn profiles_for_peers() {
    use matrixon_proto::auth::v1::GetProfilesRequest;
    on_both(open(), |server| async move {
        server.register("alice").await;
        server.register("bob").await;
        for (asked, found) in [
            (vec![], 0),
            (vec!["@bob:example.org"], 1),
            (vec!["@alice:example.org", "@bob:example.org", "@c:d", "x\0"], 2),
        ] {
            let user_ids = asked.into_iter().map(str::to_owned).collect();
            let profiles =
                server.rpc().get_profiles(GetProfilesRequest { user_ids }).await.unwrap().into_inner().profiles;
            assert_eq!(profiles.len(), found);
            assert!(profiles.iter().all(|profile| profile.displayname.is_some() && profile.avatar_url.is_none()));
        }
    })
    .await;
}

#[tokio::test]
async fn what_clients_ask_after_log_in() {
    on_both(open(), |server| async move {
        let alice = server.register("alice").await;
        let capabilities = server.get("/v3/capabilities", Some(&alice)).await.ok();
        let versions = &capabilities["capabilities"]["m.room_versions"];
        assert_eq!(
            versions,
            &json!({ "default": "12", "available": { "10": "stable", "11": "stable", "12": "stable" } })
        );
        assert_eq!(server.get("/v3/account/3pid", Some(&alice)).await.ok(), json!({ "threepids": [] }));
        server.get("/v3/account/whoami", None).await.refused(401, "M_MISSING_TOKEN");
    })
    .await;
}

#[tokio::test]
async fn changing_the_password_ends_the_other_sessions() {
    on_both(open(), |server| async move {
        let phone = server.register("alice").await;
        let laptop = server.login("alice", json!({})).await.ok()["access_token"].as_str().unwrap().to_owned();
        let body = json!({ "new_password": "better" });
        let session = server.post("/v3/account/password", Some(&phone), body).await.challenged();
        let auth = |password: &str| {
            json!({ "type": "m.login.password", "session": session, "password": password,
                    "identifier": { "type": "m.id.user", "user": "alice" } })
        };
        let wrong = json!({ "new_password": "better", "auth": auth("wrong") });
        let reply = server.post("/v3/account/password", Some(&phone), wrong).await;
        reply.challenged();
        assert_eq!(reply.body["errcode"], "M_FORBIDDEN");
        // what was confirmed is what was asked for first
        let other = json!({ "new_password": "another", "auth": auth("secret") });
        server.post("/v3/account/password", Some(&phone), other).await.refused(403, "M_FORBIDDEN");
        // the first body is replayed
        server.post("/v3/account/password", Some(&phone), json!({ "auth": auth("secret") })).await.ok();

        server.authenticate(&phone).await.unwrap();
        assert!(server.authenticate(&laptop).await.is_err());
        server.login("alice", json!({})).await.refused(403, "M_FORBIDDEN");
        let tablet = server.login("alice", json!({ "password": "better" })).await.ok();

        let auth = json!({ "type": "m.login.password", "user": "alice", "password": "better" });
        let body = json!({ "new_password": "best", "logout_devices": false, "auth": auth });
        server.post("/v3/account/password", Some(&phone), body).await.ok();
        server.authenticate(tablet["access_token"].as_str().unwrap()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_deactivated_account_is_refused() {
    on_both(open(), |server| async move {
        let token = server.register("alice").await;
        matrixon_store::exec!(server.db.write(), "update users set deactivated = true").unwrap();
        server.login("alice", json!({})).await.refused(403, "M_USER_DEACTIVATED");
        server.get("/v3/profile/@alice:example.org", None).await.refused(404, "M_NOT_FOUND");
        assert!(server.authenticate(&token).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn nobody_gets_in_without_an_assertion() {
    use tower::ServiceExt as _;
    on_both(open(), |server| async move {
        let request = http::Request::builder()
            .method(Method::GET)
            .uri("/_matrix/client/v3/login")
            .body(axum::body::Body::empty())
            .unwrap();
        let response = server.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 401);
    })
    .await;
}

#[test]
fn generated_names_follow_the_rules() {
    let server_name = super::Harness::server_name();
    for _ in 0..100 {
        localpart::generate_user_id(&server_name).unwrap().validate_strict().unwrap();
    }
}
