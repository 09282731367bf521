//! Log-in, refresh, expiry.

use std::time::Duration;

use matrixon_store::exec;
use serde_json::{Value, json};

use super::{Harness, administration, on_both};
use crate::{Config, store::users, tests::harness::open};

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn passwords_and_names() {
    on_both(open(), |server| async move {
        server.register("alice").await;
        for name in ["alice", "ALICE", "@alice:example.org", "@Alice:example.org"] {
            let reply = server.login(name, json!({})).await.ok();
            assert_eq!(reply["user_id"], "@alice:example.org");
            assert_eq!(reply["well_known"]["m.homeserver"]["base_url"], "https://matrix.example.org");
            assert!(reply.get("expires_in_ms").is_none());
        }
        let legacy = json!({ "type": "m.login.password", "user": "alice", "password": "secret" });
        server.post("/v3/login", None, legacy).await.ok();
        for name in ["bob", "@alice:elsewhere.org", "", "a:b"] {
            let error = server.login(name, json!({})).await.refused(403, "M_FORBIDDEN");
            assert_eq!(error["error"], "Invalid username or password");
        }
        server.login("alice", json!({ "password": "wrong" })).await.refused(403, "M_FORBIDDEN");
        server.login("alice", json!({ "password": "x".repeat(5_000) })).await.refused(403, "M_FORBIDDEN");
        let email = json!({ "type": "m.id.thirdparty", "medium": "email", "address": "a@b.c" });
        server.login("alice", json!({ "identifier": email })).await.refused(403, "M_FORBIDDEN");
        let flows = server.get("/v3/login", None).await.ok();
        let token = json!({ "type": "m.login.token", "get_login_token": true });
        assert_eq!(flows, json!({ "flows": [{ "type": "m.login.password" }, token] }));
    })
    .await;
}

/// Elsewhere and before there were user ids that nobody can register here, and such as differ in capitals only.
#[tokio::test]
async fn historical_names_are_found_as_they_are_written() {
    on_both(open(), |server| async move {
        server.register("alice").await;
        let bob = server.register("bob").await;
        let hash = users::find_user(&server.db, "@alice:example.org").await.unwrap().unwrap().password_hash;
        for user_id in ["@Alice:example.org", "@O'Brien{1}:example.org"] {
            let query = "insert into users (user_id, password_hash, created_ts) values ($1, $2, 1)";
            exec!(server.db.write(), query, user_id, hash.as_deref()).unwrap();
        }
        for (name, user_id) in [
            ("alice", "@alice:example.org"),
            ("Alice", "@Alice:example.org"),
            ("@Alice:example.org", "@Alice:example.org"),
            ("ALICE", "@alice:example.org"),
            ("Bob", "@bob:example.org"),
            ("O'Brien{1}", "@O'Brien{1}:example.org"),
        ] {
            assert_eq!(server.login(name, json!({})).await.ok()["user_id"], user_id, "{name}");
        }
        for name in ["o'brien{1}", "@O'BRIEN{1}:example.org"] {
            server.login(name, json!({})).await.refused(403, "M_FORBIDDEN");
        }

        // interactive authentication finds them alike
        let change = async |token: &str, user: &str| {
            let identifier = json!({ "type": "m.id.user", "user": user });
            let auth = json!({ "type": "m.login.password", "identifier": identifier, "password": "secret" });
            let body = json!({ "new_password": "better", "auth": auth });
            server.post("/v3/account/password", Some(token), body).await
        };
        let alice = text(&server.login("Alice", json!({})).await.ok()["access_token"]);
        change(&alice, "alice").await.refused(403, "M_FORBIDDEN");
        change(&alice, "Alice").await.ok();
        server.login("Alice", json!({ "password": "better" })).await.ok();
        server.login("alice", json!({})).await.ok();
        change(&bob, "Bob").await.ok();

        // and so does administration
        let locked = administration::users(&server, "lock").lock(administration::named("Alice")).await.unwrap();
        assert_eq!(locked.into_inner().user_id, "@Alice:example.org");
        server.login("Alice", json!({ "password": "better" })).await.refused(401, "M_USER_LOCKED");
        server.login("alice", json!({})).await.ok();
    })
    .await;
}

#[tokio::test]
async fn malformed_log_ins() {
    on_both(open(), |server| async move {
        for body in [
            json!({}),
            json!({ "type": 1 }),
            json!({ "type": "m.login.password" }),
            json!({ "type": "m.login.password", "password": null, "user": "a" }),
            json!({ "type": "m.login.password", "password": "p", "user": ["a"] }),
            json!({ "type": "m.login.password", "password": "p\0", "user": "a" }),
        ] {
            let reply = server.post("/v3/login", None, body).await;
            assert_eq!(reply.status, 400, "{}", reply.body);
        }
        server.post("/v3/login", None, json!({ "type": "m.login.other" })).await.refused(400, "M_UNKNOWN");
        server
            .post("/v3/login", None, json!({ "type": "m.login.token", "token": "t" }))
            .await
            .refused(403, "M_FORBIDDEN");
        let nobody = json!({ "type": "m.login.password", "password": "p" });
        server.post("/v3/login", None, nobody).await.refused(400, "M_MISSING_PARAM");
        server
            .login("alice", json!({ "initial_device_display_name": "x".repeat(101) }))
            .await
            .refused(400, "M_TOO_LARGE");
    })
    .await;
}

#[tokio::test]
async fn a_known_device_is_taken_over() {
    on_both(open(), |server| async move {
        server.register("alice").await;
        let wish = json!({ "device_id": "PHONE", "initial_device_display_name": "one" });
        let first = text(&server.login("alice", wish).await.ok()["access_token"]);
        let wish = json!({ "device_id": "PHONE", "initial_device_display_name": "two" });
        let second = text(&server.login("alice", wish).await.ok()["access_token"]);
        let error = server.authenticate(&first).await.unwrap_err();
        assert_eq!((error.errcode.as_str(), error.extra.get("soft_logout")), ("M_UNKNOWN_TOKEN", None));
        let device = server.get("/v3/devices/PHONE", Some(&second)).await.ok();
        assert_eq!(device["display_name"], "one");
        let revoked = server.revocations(0).await.revocations;
        assert_eq!(revoked.len(), 1);
        assert_eq!((revoked[0].device_id.as_str(), revoked[0].user_id.as_str()), ("PHONE", "@alice:example.org"));
    })
    .await;
}

#[tokio::test]
async fn the_old_generation_ends_when_the_new_one_is_used() {
    on_both(open(), |server| async move {
        server.register("alice").await;
        let login = server.login("alice", json!({ "refresh_token": true })).await.ok();
        assert_eq!(login["expires_in_ms"], 3_600_000);
        let (access, refresh) = (text(&login["access_token"]), text(&login["refresh_token"]));
        assert!(refresh.starts_with("mxr_"));
        let next = |token: String| {
            let server = &server;
            async move { server.post("/v3/refresh", None, json!({ "refresh_token": token })).await }
        };

        // the answer is lost, the client asks again: both times something good comes
        let lost = next(refresh.clone()).await.ok();
        let second = next(refresh.clone()).await.ok();
        server.authenticate(&access).await.unwrap();
        assert!(server.authenticate(&text(&lost["access_token"])).await.is_err());
        assert!(server.revocations(0).await.revocations.is_empty());

        let holder = server.authenticate(&text(&second["access_token"])).await.unwrap();
        assert_eq!(holder.device_id, login["device_id"].as_str().unwrap());
        assert!(server.authenticate(&access).await.is_err());
        let revoked = server.revocations(0).await.revocations;
        assert_eq!(revoked.len(), 1);
        assert_eq!(revoked[0].token_sha256, crate::sessions::tokens::hash_token(&access).as_slice());

        // using the new refresh token ends the old generation as well
        let third = next(text(&second["refresh_token"])).await.ok();
        let fourth = next(text(&third["refresh_token"])).await.ok();
        assert!(server.authenticate(&text(&second["access_token"])).await.is_err());
        server.authenticate(&text(&third["access_token"])).await.unwrap();
        server.authenticate(&text(&fourth["access_token"])).await.unwrap();
        assert_eq!(server.revocations(0).await.revocations.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn a_spent_refresh_token_ends_its_session_and_no_other() {
    on_both(open(), |server| async move {
        let other = server.register("alice").await;
        let wish = json!({ "refresh_token": true, "device_id": "PHONE" });
        let first = server.login("alice", wish.clone()).await.ok();
        let next = |tokens: &Value, key: &'static str| {
            let (server, body) = (&server, json!({ "refresh_token": tokens["refresh_token"] }));
            async move { server.send_as(http::Method::POST, "/v3/refresh", None, body, key).await }
        };
        let second = next(&first, "one").await.ok();
        server.authenticate(&text(&second["access_token"])).await.unwrap();
        // the request that made the second pair, arriving late: it is refused and ends nothing
        let late = next(&first, "one").await.refused(401, "M_UNKNOWN_TOKEN");
        assert_eq!(late["soft_logout"], true);
        server.authenticate(&text(&second["access_token"])).await.unwrap();

        let reused = next(&first, "two").await.refused(401, "M_UNKNOWN_TOKEN");
        assert_eq!(reused["soft_logout"], true);
        let error = server.authenticate(&text(&second["access_token"])).await.unwrap_err();
        assert_eq!(error.extra.get("soft_logout"), Some(&true.into()));
        next(&second, "three").await.refused(401, "M_UNKNOWN_TOKEN");
        server.authenticate(&other).await.unwrap();
        let revoked = server.revocations(0).await.revocations;
        assert_eq!(revoked.last().unwrap().device_id, "PHONE");
        assert!(revoked.last().unwrap().token_sha256.is_empty());

        // the device is there to be logged in to, and the old tokens say nothing about the new session
        let again = server.login("alice", wish).await.ok();
        next(&first, "four").await.refused(401, "M_UNKNOWN_TOKEN");
        server.authenticate(&text(&again["access_token"])).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn expired_login_tokens_are_refused() {
    on_both(open(), |server| async move {
        let alice = server.register("alice").await;
        let identifier = json!({ "type": "m.id.user", "user": "alice" });
        let auth = json!({ "type": "m.login.password", "identifier": identifier, "password": "secret" });
        let made = server.post("/v1/login/get_token", Some(&alice), json!({ "auth": auth })).await.ok();
        assert_eq!(made["expires_in_ms"], 120_000);
        let body = json!({ "type": "m.login.token", "token": made["login_token"] });
        server.clock.advance(Duration::from_secs(121));
        server.post("/v3/login", None, body).await.refused(403, "M_FORBIDDEN");

        // the same request twice, after its answer was lost, is one log-in
        let made = server.post("/v1/login/get_token", Some(&alice), json!({ "auth": auth })).await.ok();
        let body = json!({ "type": "m.login.token", "token": made["login_token"] });
        let send = || server.send_as(http::Method::POST, "/v3/login", None, body.clone(), "lost");
        let (first, again) = (send().await.ok(), send().await.ok());
        assert_eq!(first["device_id"], again["device_id"]);
        server.post("/v3/login", None, body.clone()).await.refused(403, "M_FORBIDDEN");
    })
    .await;
}

#[tokio::test]
async fn passwords_are_not_guessed_at_leisure() {
    let limit = crate::config::LoginAttempts { per_second: 0.1, burst: 3.0 };
    on_both(Config { login_attempts: limit, ..open() }, |server| async move {
        server.register("alice").await;
        for name in ["alice", "nobody"] {
            for _ in 0..3 {
                server.login(name, json!({ "password": "wrong" })).await.refused(403, "M_FORBIDDEN");
            }
            // another spelling of the same name, and even the right password
            let refused = server.login(&name.to_uppercase(), json!({})).await.refused(429, "M_LIMIT_EXCEEDED");
            assert_eq!(refused["retry_after_ms"], 10_000);
        }
        server.clock.advance(Duration::from_secs(10));
        server.login("alice", json!({})).await.ok();
        for _ in 0..3 {
            server.login("alice", json!({ "password": "wrong" })).await.refused(403, "M_FORBIDDEN");
        }
        server.login("alice", json!({})).await.refused(429, "M_LIMIT_EXCEEDED");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rotations_and_uses_at_once_do_not_fail() {
    on_both(open(), |server| async move {
        server.register("alice").await;
        let login = server.login("alice", json!({ "refresh_token": true })).await.ok();
        let server = std::sync::Arc::new(server);
        let mut refresh = text(&login["refresh_token"]);
        for _ in 0..5 {
            let next = server.post("/v3/refresh", None, json!({ "refresh_token": refresh })).await.ok();
            let (access, successor) = (text(&next["access_token"]), text(&next["refresh_token"]));
            let uses: Vec<_> = (0..6)
                .map(|n| {
                    let (server, access, successor) = (server.clone(), access.clone(), successor.clone());
                    tokio::spawn(async move {
                        if n % 2 == 0 {
                            server.authenticate(&access).await.unwrap();
                        } else {
                            let body = json!({ "refresh_token": successor });
                            server.post("/v3/refresh", None, body).await.ok();
                        }
                    })
                })
                .collect();
            for used in uses {
                used.await.unwrap();
            }
            refresh = successor;
        }
    })
    .await;
}

#[tokio::test]
async fn expired_tokens_ask_for_a_soft_logout() {
    let config = Config { refreshable_access_token_seconds: 60, access_token_seconds: 120, ..open() };
    on_both(config, |server| async move {
        let plain = server.register("alice").await;
        let login = server.login("alice", json!({ "refresh_token": true })).await.ok();
        let refreshable = text(&login["access_token"]);
        let soft = |error: matrixon_http::MatrixError| error.extra.get("soft_logout").cloned();
        server.clock.advance(Duration::from_secs(61));
        assert_eq!(soft(server.authenticate(&refreshable).await.unwrap_err()), Some(true.into()));
        server.authenticate(&plain).await.unwrap();
        server.clock.advance(Duration::from_mins(1));
        assert_eq!(soft(server.authenticate(&plain).await.unwrap_err()), Some(true.into()));
        let body = json!({ "refresh_token": login["refresh_token"] });
        let next = server.post("/v3/refresh", None, body).await.ok();
        server.authenticate(&text(&next["access_token"])).await.unwrap();
        assert_eq!(soft(server.authenticate("mxa_nobody").await.unwrap_err()), None);
    })
    .await;
}

#[tokio::test]
async fn a_hash_of_another_cost_is_renewed() {
    on_both(open(), |mut server: Harness| async move {
        server.register("alice").await;
        server.restart(|config| config.password.memory_kib = 16).await;
        let hash = |db: matrixon_store::Db| async move {
            let row = matrixon_store::sql!(db.read(), fetch_one as (String,), "select password_hash from users");
            row.unwrap().0
        };
        assert!(hash(server.db.clone()).await.contains("m=8,"));
        server.login("alice", json!({})).await.ok();
        assert!(hash(server.db.clone()).await.contains("m=16,"));
        server.login("alice", json!({})).await.ok();
    })
    .await;
}

#[tokio::test]
async fn a_retried_log_in_makes_one_device() {
    on_both(open(), |server| async move {
        server.register("alice").await;
        let body = json!({ "type": "m.login.password", "user": "alice", "password": "secret" });
        let send = || server.send_as(http::Method::POST, "/v3/login", None, body.clone(), "the same request");
        let first = send().await.ok();
        let again = send().await.ok();
        assert_eq!(first["device_id"], again["device_id"]);
        let token = text(&again["access_token"]);
        assert_eq!(server.get("/v3/devices", Some(&token)).await.ok()["devices"].as_array().unwrap().len(), 2);
        assert!(server.authenticate(&text(&first["access_token"])).await.is_err());
    })
    .await;
}
