//! The edge in front of real service routers and a real gRPC auth service, all in this process.

mod access_log;
mod backend;
mod proptests;
mod refusals;
mod replicas;
mod wire;

use std::time::Duration;

use http::{StatusCode, header};
use serde_json::{Value, json};

use self::backend::{Fixture, get, post, request};

#[tokio::test]
async fn a_request_reaches_its_service_with_an_identity() {
    let fixture = Fixture::start().await;
    let answer = fixture.send(get("/_matrix/client/v3/account/whoami").token("good")).await;
    assert_eq!((answer.status, &answer.body["user_id"]), (StatusCode::OK, &json!("@alice:x")));
    for name in ["x-request-id", "access-control-allow-origin", "x-content-type-options", "content-security-policy"] {
        assert!(answer.headers.contains_key(name), "{name}");
    }
    assert!(!answer.headers.contains_key("x-matrixon-db"));
    let query = fixture.send(get("/_matrix/client/v3/account/whoami?access_token=good")).await;
    assert_eq!(query.body["user_id"], "@alice:x");
    let echoed =
        fixture.send(get("/_matrix/client/v3/echo?a=1&access_token=good&b=2").header("x-request-id", "abc-1")).await;
    assert_eq!(
        (&echoed.body["query"], &echoed.headers["x-request-id"]),
        (&json!("a=1&b=2"), &"abc-1".parse().unwrap())
    );
}

#[tokio::test]
async fn services_see_no_token_and_no_forged_header() {
    let fixture = Fixture::start().await;
    let asked = get("/_matrix/client/v3/echo")
        .token("good")
        .header("x-matrixon-identity", "forged")
        .header("x-forwarded-for", "198.51.100.7")
        .header("connection", "keep-alive, te")
        .header("user-agent", "tests");
    let answer = fixture.send(asked).await;
    let seen: Vec<&str> = answer.body["headers"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(seen, ["user-agent", "x-matrixon-identity"]);
    assert_eq!(answer.body["remote"], "192.0.2.1");
}

#[tokio::test]
async fn tokens_are_demanded_checked_and_may_be_absent() {
    let fixture = Fixture::start().await;
    let whoami = "/_matrix/client/v3/account/whoami";
    assert_eq!(fixture.send(get(whoami)).await.error(), (401, "M_MISSING_TOKEN".to_owned()));
    assert_eq!(fixture.send(get(whoami).token("bad")).await.error(), (401, "M_UNKNOWN_TOKEN".to_owned()));
    assert_eq!(fixture.send(get(whoami).header("authorization", "Basic x")).await.error().1, "M_MISSING_TOKEN");
    let soft = fixture.send(get(whoami).token("expired")).await;
    assert_eq!((soft.status.as_u16(), &soft.body["soft_logout"]), (401, &json!(true)));
    assert_eq!(fixture.send(get("/_matrix/client/v3/optional")).await.body["user"], Value::Null);
    assert_eq!(fixture.send(get("/_matrix/client/v3/optional").token("good")).await.body["user"], "@alice:x");
    assert_eq!(fixture.send(get("/_matrix/client/v3/optional").token("bad")).await.status, StatusCode::UNAUTHORIZED);
    fixture.auth.go_away();
    assert_eq!(fixture.send(get(whoami).token("new")).await.error(), (503, "M_UNKNOWN".to_owned()));
}

#[tokio::test]
async fn nobody_is_refused_for_what_was() {
    let fixture = Fixture::start().await;
    let whoami = || get("/_matrix/client/v3/account/whoami").token("good");
    let lock = || post("/_matrixon/admin/v1/users/%40bob%3Ax/lock", "{}").token("good");
    fixture.followed().await;
    fixture.auth.set_locked(true);
    assert_eq!(fixture.send(whoami()).await.error(), (401, "M_USER_LOCKED".to_owned()));
    fixture.auth.set_locked(false);
    assert_eq!(fixture.send(whoami()).await.status, StatusCode::OK);

    assert_eq!(fixture.send(lock()).await.error(), (403, "M_FORBIDDEN".to_owned()));
    fixture.auth.promote();
    assert_eq!(fixture.send(lock()).await.status, StatusCode::OK);
    assert_eq!(fixture.auth.look_ups(), 3, "who was refused for good was not looked up again");
}

#[tokio::test]
async fn a_token_is_looked_up_once_and_its_revocation_takes_effect() {
    let fixture = Fixture::start().await;
    let whoami = || get("/_matrix/client/v3/account/whoami").token("good");
    fixture.followed().await;
    for _ in 0..5 {
        assert_eq!(fixture.send(whoami()).await.status, StatusCode::OK);
    }
    assert_eq!(fixture.auth.look_ups(), 1);
    fixture.auth.revoke("good");
    fixture.bus.publish(crate::identity::SUBJECT, bytes::Bytes::new());
    let deadline = tokio::time::Instant::now() + Duration::from_secs(1);
    while fixture.send(whoami()).await.status == StatusCode::OK {
        assert!(tokio::time::Instant::now() < deadline, "the revocation took longer than a second");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_logs_out_is_out_at_once() {
    let fixture = Fixture::start().await;
    let whoami = || get("/_matrix/client/v3/account/whoami").token("good");
    fixture.followed().await;
    assert_eq!(fixture.send(whoami()).await.status, StatusCode::OK);
    assert_eq!(fixture.send(post("/_matrix/client/v3/logout", "{}").token("good")).await.status, StatusCode::OK);
    assert_eq!(fixture.send(whoami()).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_cache_that_cannot_follow_is_not_trusted() {
    let fixture = Fixture::start().await;
    let whoami = || get("/_matrix/client/v3/account/whoami").token("good");
    fixture.followed().await;
    assert_eq!(fixture.send(whoami()).await.status, StatusCode::OK);
    fixture.auth.go_away();
    fixture.auth.revoke("good");
    tokio::time::pause();
    tokio::time::advance(Duration::from_millis(950)).await;
    assert_eq!(fixture.send(whoami()).await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn what_is_unknown_is_unrecognized_with_cors() {
    let fixture = Fixture::start().await;
    for (asked, status) in [
        (get("/_matrix/client/v3/nonsense"), 404),
        (get("/"), 404),
        (get("/_matrix/client/v3/rooms//echo"), 404),
        (request("DELETE", "/_matrix/client/v3/account/whoami"), 405),
        (request("PATCH", "/_matrix/client/versions"), 405),
    ] {
        let answer = fixture.send(asked).await;
        assert_eq!(answer.error(), (status, "M_UNRECOGNIZED".to_owned()));
        assert_eq!(answer.headers["access-control-allow-origin"], "*");
    }
    let preflight = fixture.send(request("OPTIONS", "/_matrix/client/v3/anything")).await;
    assert_eq!(preflight.status, StatusCode::NO_CONTENT);
    assert!(preflight.headers["access-control-allow-headers"].to_str().unwrap().contains("Authorization"));
    let federation = fixture.send_federation(get("/_matrix/client/v3/account/whoami").token("good")).await;
    assert_eq!(federation.error(), (404, "M_UNRECOGNIZED".to_owned()));
}

#[tokio::test]
async fn head_and_trailing_slashes_work() {
    let fixture = Fixture::start().await;
    let head = fixture.send(request("HEAD", "/_matrix/client/v3/account/whoami").token("good")).await;
    assert_eq!((head.status, head.raw.len()), (StatusCode::OK, 0));
    let versions = fixture.send(request("HEAD", "/_matrix/client/versions")).await;
    let whole = fixture.send(get("/_matrix/client/versions")).await;
    assert_eq!((versions.raw.len(), &versions.headers["content-length"]), (0, &whole.raw.len().into()));
    let slash = fixture.send(get("/_matrix/client/v3/account/whoami/").token("good")).await;
    assert_eq!(slash.status, StatusCode::OK);
}

#[tokio::test]
async fn bodies_have_a_limit_and_a_time() {
    let fixture = Fixture::start().await;
    let echo = "/_matrix/client/v3/echo";
    assert_eq!(fixture.send(post(echo, "{\"a\":1}")).await.body["body"], "{\"a\":1}");
    let large = fixture.send(post(echo, vec![b' '; 2_000])).await;
    assert_eq!(large.error(), (413, "M_TOO_LARGE".to_owned()));
    let announced = fixture.send(post(echo, "{}").header("content-length", "5000")).await;
    assert_eq!(announced.error().0, 413);
    assert_eq!(announced.headers["connection"], "close");
    let (status, _) = fixture.send(post(echo, "{").token("good")).await.error();
    assert_eq!(status, 400);
    tokio::time::pause();
    let never = axum::body::Body::from_stream(futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
    assert_eq!(fixture.send(post(echo, never)).await.error(), (408, "M_UNKNOWN".to_owned()));
}

#[tokio::test]
async fn limits_are_told_with_a_time() {
    let fixture = Fixture::start().await;
    let login = || post("/_matrix/client/v3/limited", "{}");
    assert_eq!(fixture.send(login()).await.status, StatusCode::OK);
    let limited = fixture.send(login()).await;
    assert_eq!(limited.error(), (429, "M_LIMIT_EXCEEDED".to_owned()));
    assert!(limited.body["retry_after_ms"].as_u64().unwrap() > 0);
    assert!(limited.headers.contains_key(header::RETRY_AFTER));
    assert_eq!(limited.headers["access-control-allow-origin"], "*");
}

#[tokio::test]
async fn long_json_is_compressed_for_those_who_accept_it() {
    let fixture = Fixture::start().await;
    let long = || get("/_matrix/client/v3/long");
    let plain = fixture.send(long()).await;
    assert!(!plain.headers.contains_key("content-encoding"));
    let gzip = fixture.send(long().header("accept-encoding", "br, gzip;q=0.8, zstd;q=0")).await;
    assert_eq!(gzip.headers["content-encoding"], "gzip");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&gzip.raw[..]), &mut text).unwrap();
    assert_eq!(text.as_bytes(), &plain.raw[..]);
    let zstd = fixture.send(long().header("accept-encoding", "gzip, zstd")).await;
    assert_eq!(zstd.headers["content-encoding"], "zstd");
    assert_eq!(zstd::bulk::decompress(&zstd.raw, 1 << 20).unwrap(), &plain.raw[..]);
    assert!(zstd.raw.len() < plain.raw.len() / 4);
    let short = fixture.send(get("/_matrix/client/v3/optional").header("accept-encoding", "gzip")).await;
    assert!(!short.headers.contains_key("content-encoding"));
}

#[tokio::test]
async fn documents_are_served_as_configured() {
    let fixture = Fixture::start().await;
    let versions = fixture.send(get("/_matrix/client/versions")).await;
    assert_eq!(versions.body["versions"].as_array().unwrap().len(), 19);
    assert!(versions.body["unstable_features"].is_object());
    let client = fixture.send(get("/.well-known/matrix/client")).await;
    assert_eq!(client.body["m.homeserver"]["base_url"], "https://matrix.example.org");
    assert_eq!(client.headers["access-control-allow-origin"], "*");
    let server = fixture.send_federation(get("/.well-known/matrix/server")).await;
    assert_eq!(server.body, json!({ "m.server": "matrix.example.org:443" }));
    assert_eq!(fixture.send(get("/.well-known/matrix/support")).await.error(), (404, "M_NOT_FOUND".to_owned()));
    assert_eq!(fixture.send(get("/health")).await.body["status"], "ok");
    fixture.shutdown.begin_drain();
    assert_eq!(fixture.send(get("/health")).await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_parked_sync_is_answered_when_the_gateway_drains() {
    let fixture = Fixture::start().await;
    let parked = fixture.send(get("/_matrix/client/v3/sync?since=m1_1%3A2&timeout=30000").token("good"));
    let drain = async {
        fixture.parked.notified().await;
        fixture.shutdown.begin_drain();
    };
    let (answer, ()) = tokio::join!(parked, drain);
    assert_eq!((answer.status, answer.body), (StatusCode::OK, json!({ "next_batch": "m1_1:2" })));
}

#[tokio::test]
async fn another_cluster_secret_is_our_fault_and_not_the_clients() {
    let fixture = Fixture::with_service_secret("another secret").await;
    let answer = fixture.send(get("/_matrix/client/v3/account/whoami").token("good")).await;
    assert_eq!(answer.error(), (503, "M_UNKNOWN".to_owned()));
}
