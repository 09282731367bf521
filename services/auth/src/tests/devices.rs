//! Devices: seen, named, deleted, logged out.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::on_both;
use crate::tests::harness::open;

fn password(session: Option<&str>) -> Value {
    let mut auth = json!({ "type": "m.login.password", "password": "secret",
                           "identifier": { "type": "m.id.user", "user": "alice" } });
    if let Some(session) = session {
        auth["session"] = session.into();
    }
    auth
}

#[tokio::test]
async fn names() {
    on_both(open(), |server| async move {
        let alice = server.register("alice").await;
        let bob = server.register("bob").await;
        server.login("alice", json!({ "device_id": "PHONE" })).await.ok();
        let phone = server.get("/v3/devices/PHONE", Some(&alice)).await.ok();
        assert!(phone.get("display_name").is_none(), "unknown, not null: {phone}");
        server.put("/v3/devices/PHONE", Some(&alice), json!({ "display_name": "phone" })).await.ok();
        server.put("/v3/devices/PHONE", Some(&alice), json!({})).await.ok();
        assert_eq!(server.get("/v3/devices/PHONE", Some(&alice)).await.ok()["display_name"], "phone");
        let long = json!({ "display_name": "x".repeat(101) });
        server.put("/v3/devices/PHONE", Some(&alice), long).await.refused(400, "M_TOO_LARGE");
        server.put("/v3/devices/PHONE", Some(&bob), json!({ "display_name": "x" })).await.refused(404, "M_NOT_FOUND");
        server.put("/v3/devices/PHONE", Some(&bob), json!({})).await.refused(404, "M_NOT_FOUND");
        server.get("/v3/devices/PHONE", Some(&bob)).await.refused(404, "M_NOT_FOUND");
        assert_eq!(server.get("/v3/devices", Some(&bob)).await.ok()["devices"].as_array().unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_session_for_one_device_deletes_no_other() {
    on_both(open(), |server| async move {
        let alice = server.register("alice").await;
        for device_id in ["A", "B", "C"] {
            server.login("alice", json!({ "device_id": device_id })).await.ok();
        }
        let delete = |device_id: &str, auth: Value| {
            let path = format!("/v3/devices/{device_id}");
            let (server, alice) = (&server, &alice);
            async move { server.send(Method::DELETE, &path, Some(alice), auth).await }
        };
        let session = delete("A", json!({})).await.challenged();
        let auth = json!({ "auth": password(Some(&session)) });
        delete("B", auth.clone()).await.refused(403, "M_FORBIDDEN");
        let body = json!({ "devices": ["A", "B"], "auth": password(Some(&session)) });
        server.post("/v3/delete_devices", Some(&alice), body).await.refused(403, "M_FORBIDDEN");
        let bob = server.register("bob").await;
        server.send(Method::DELETE, "/v3/devices/A", Some(&bob), auth.clone()).await.refused(403, "M_FORBIDDEN");
        // the password of somebody else is no authentication either
        let reply = server.send(Method::DELETE, "/v3/devices/A", Some(&bob), json!({ "auth": password(None) })).await;
        reply.refused(403, "M_FORBIDDEN");
        delete("A", auth.clone()).await.ok();
        server.get("/v3/devices/A", Some(&alice)).await.refused(404, "M_NOT_FOUND");
        server.get("/v3/devices/B", Some(&alice)).await.ok();

        let body = json!({ "devices": ["B", "C", "nobody's"], "auth": password(None) });
        server.post("/v3/delete_devices", Some(&alice), body).await.ok();
        assert_eq!(server.get("/v3/devices", Some(&alice)).await.ok()["devices"].as_array().unwrap().len(), 1);
        let revoked = server.revocations(0).await.revocations;
        let devices: Vec<&str> = revoked.iter().map(|revocation| revocation.device_id.as_str()).collect();
        assert_eq!(devices, ["A", "B", "C"]);
    })
    .await;
}

#[tokio::test]
async fn log_outs_may_be_repeated() {
    on_both(open(), |server| async move {
        let one = server.register("alice").await;
        let two = server.login("alice", json!({})).await.ok()["access_token"].as_str().unwrap().to_owned();
        let three = server.login("alice", json!({})).await.ok()["access_token"].as_str().unwrap().to_owned();
        let holder = server.authenticate(&one).await.unwrap();
        server.post("/v3/logout", Some(&one), json!({})).await.ok();
        server.get("/v3/account/whoami", Some(&one)).await.refused(401, "M_UNKNOWN_TOKEN");
        // a retry carries the identity that the gateway found before
        let user = matrixon_http::UserAuth {
            user_id: holder.user_id.try_into().unwrap(),
            device_id: holder.device_id.into(),
            admin: false,
            standing: matrixon_http::Standing::default(),
            token_sha256: [0; 32],
        };
        server.forward(Method::POST, "/v3/logout", Some(user.clone()), Vec::new(), "retry").await.ok();
        server.authenticate(&two).await.unwrap();
        server.post("/v3/logout/all", Some(&two), json!({})).await.ok();
        server.forward(Method::POST, "/v3/logout/all", Some(user), Vec::new(), "retry").await.ok();
        assert!(server.authenticate(&three).await.is_err());
        let revoked = server.revocations(0).await.revocations;
        assert_eq!(revoked.len(), 2);
        assert_eq!(revoked[1].device_id, "");
    })
    .await;
}

#[tokio::test]
async fn last_seen_is_written_when_the_process_stops() {
    on_both(open(), |server| async move {
        let alice = server.register("alice").await;
        let seen = |body: Value| body["devices"][0]["last_seen_ts"].as_i64().unwrap();
        let before = seen(server.get("/v3/devices", Some(&alice)).await.ok());
        server.clock.advance(Duration::from_secs(90));
        let now_ms = server.clock.now_ms();
        assert_eq!(seen(server.get("/v3/devices", Some(&alice)).await.ok()), before);
        server.shutdown.stop();
        let (db, router) = (server.db.clone(), server.router.clone());
        server.tasks.await.unwrap();
        drop(router);
        let rows = crate::store::devices::list_devices(&db, "@alice:example.org").await.unwrap();
        assert_eq!(rows[0].last_seen_ts, now_ms);
        assert_eq!(rows[0].last_seen_ip.as_deref(), Some("192.0.2.7"));
    })
    .await;
}
