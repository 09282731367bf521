//! The database or the cache is away for a while.

use matrixon_cache::Cache;
use matrixon_testkit::servers::{Postgres, Redis};
use serde_json::{Value, json};

use super::Harness;
use crate::tests::harness::open;

fn registration(username: &str) -> Value {
    json!({ "username": username, "password": "secret", "auth": { "type": "m.login.dummy" } })
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_database_a_clean_503() {
    let postgres = Postgres::start().unwrap();
    let url = postgres.create_database("auth").unwrap();
    let server = Harness::start(open(), &url, None).await;
    let token = server.register("alice").await;
    postgres.kill().unwrap();
    server.post("/v3/register", None, registration("bob")).await.refused(503, "M_UNKNOWN");
    server.login("alice", json!({})).await.refused(503, "M_UNKNOWN");
    let error = server.authenticate(&token).await.unwrap_err();
    assert_eq!((error.status.as_u16(), error.errcode.as_str()), (503, "M_UNKNOWN"));
    postgres.start_again().unwrap();
    server.authenticate(&token).await.unwrap();
    server.post("/v3/register", None, registration("bob")).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_cache_as_with_an_empty_one() {
    let redis = Redis::start().unwrap();
    let mut server = Harness::sqlite(open()).await;
    let config = matrixon_cache::Config { url: redis.url(), ..Default::default() };
    server.use_cache(Cache::connect(&config).await.unwrap()).await;
    let session = wait_for_replay(&server).await;
    let auth = json!({ "auth": { "type": "m.login.dummy", "session": session } });
    assert_eq!(server.post("/v3/register", None, auth).await.ok()["user_id"], "@alice:example.org");

    let mut body = registration("bob");
    body["auth"] = Value::Null;
    let session = server.post("/v3/register", None, body.clone()).await.challenged();
    redis.kill().unwrap();
    body["auth"] = json!({ "type": "m.login.dummy", "session": session });
    server.post("/v3/register", None, body).await.ok();
    let body = json!({ "username": "carol", "password": "secret" });
    server.post("/v3/register", None, body).await.challenged();
}

/// Begins registrations of Alice until Redis, which connects in the background, has kept one.
async fn wait_for_replay(server: &Harness) -> String {
    loop {
        let body = json!({ "username": "alice", "password": "secret" });
        let session = server.post("/v3/register", None, body).await.challenged();
        let asked = server.post("/v3/register", None, json!({ "auth": { "session": session } })).await;
        if asked.challenged() == session {
            return session;
        }
        tokio::task::yield_now().await;
    }
}
