//! Server-side backup of room keys.

use anyhow::Result;
use futures::future::try_join_all;
use matrixon_testkit::{
    client::{Client, Method, Reply, escape},
    tests,
};
use serde_json::{Value, json};

use crate::env::{Env, Shared, expect_error};

tests![Env: versions_come_and_go, the_better_copy_stays, only_the_current_version_grows, keys_are_read_and_deleted,
    a_backup_is_private, many_sessions_at_once, parallel_uploads_lose_nothing, malformed_backups_are_refused];

const VERSION: &str = "/_matrix/client/v3/room_keys/version";
const ALGORITHM: &str = "m.megolm_backup.v1.curve25519-aes-sha2";

fn info(data: &Value) -> Value {
    json!({ "algorithm": ALGORITHM, "auth_data": data })
}

async fn create(client: &Client) -> Result<String> {
    let answer = client.post(VERSION, &info(&json!({ "public_key": "abc" }))).await?;
    Ok(answer["version"].as_str().expect("a version").to_owned())
}

/// `/room_keys/keys` of a version, or of a room or session in it.
fn path(version: &str, place: &[&str]) -> String {
    let place: String = place.iter().flat_map(|part| ["/".to_owned(), escape(part)]).collect();
    format!("/_matrix/client/v3/room_keys/keys{place}?version={}", escape(version))
}

fn session(verified: bool, index: u32, forwarded: u32, data: &str) -> Value {
    json!({ "first_message_index": index, "forwarded_count": forwarded, "is_verified": verified,
            "session_data": { "ciphertext": data } })
}

async fn refused(client: &Client, method: Method, path: &str, body: Option<&Value>) -> Result<Reply> {
    client.request(method, path, body).await
}

async fn versions_come_and_go(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    expect_error(&refused(&alice, Method::GET, VERSION, None).await?, 404, "M_NOT_FOUND");
    let first = create(&alice).await?;
    let second = create(&alice).await?;
    assert_ne!(first, second);
    let current = alice.get(VERSION).await?;
    let expected = json!({ "algorithm": ALGORITHM, "auth_data": { "public_key": "abc" }, "count": 0, "etag": "0", "version": second });
    assert_eq!(current, expected);
    let one = format!("{VERSION}/{first}");
    alice.put(&one, &info(&json!("any JSON"))).await?;
    assert_eq!(alice.get(&one).await?["auth_data"], "any JSON");
    let mut other = info(&json!({}));
    other["algorithm"] = "other".into();
    expect_error(&refused(&alice, Method::PUT, &one, Some(&other)).await?, 400, "M_INVALID_PARAM");
    let mut other = info(&json!({}));
    other["version"] = second.clone().into();
    expect_error(&refused(&alice, Method::PUT, &one, Some(&other)).await?, 400, "M_INVALID_PARAM");
    for missing in ["99", "bogus", "-1", "1x", "99999999999999999999"] {
        let path = format!("{VERSION}/{missing}");
        for (method, body) in [(Method::GET, None), (Method::DELETE, None), (Method::PUT, Some(info(&json!({}))))] {
            expect_error(&refused(&alice, method, &path, body.as_ref()).await?, 404, "M_NOT_FOUND");
        }
    }
    for _ in 0..2 {
        alice.call(Method::DELETE, &format!("{VERSION}/{second}"), None).await?;
    }
    expect_error(&refused(&alice, Method::GET, &format!("{VERSION}/{second}"), None).await?, 404, "M_NOT_FOUND");
    assert_eq!(alice.get(VERSION).await?["version"], first.as_str(), "the one before is the current one again");
    let third = create(&alice).await?;
    assert!(third != second && third != first, "numbers are not used again");
    Ok(())
}

async fn the_better_copy_stays(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let version = create(&alice).await?;
    let one = path(&version, &["!room:example.org", "session"]);
    // (uploaded, stays), each better in the first respect in which they differ
    let mut kept = session(false, 5, 5, "0");
    let mut etag = None;
    for (n, (candidate, better)) in [
        (session(false, 5, 5, "first"), true),
        (session(false, 5, 5, "same"), false),
        (session(false, 5, 6, "forwarded more"), false),
        (session(false, 5, 4, "forwarded less"), true),
        (session(false, 6, 0, "later"), false),
        (session(false, 4, 9, "earlier"), true),
        (session(true, 9, 9, "verified"), true),
        (session(false, 0, 0, "not verified"), false),
        (session(true, 8, 10, "verified and earlier"), true),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = alice.put(&one, &candidate).await?;
        assert_eq!(answer["count"], 1, "{n}: {answer}");
        if better {
            kept = candidate;
        }
        assert_eq!(alice.get(&one).await?, kept, "{n}");
        assert_eq!(etag.as_ref() != Some(&answer["etag"]), better, "{n}: the etag tells of changes: {answer}");
        etag = Some(answer["etag"].clone());
    }
    Ok(())
}

async fn only_the_current_version_grows(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let body = json!({ "rooms": { "!room:example.org": { "sessions": { "s": session(false, 0, 0, "x") } } } });
    expect_error(&refused(&alice, Method::PUT, &path("1", &[]), Some(&body)).await?, 404, "M_NOT_FOUND");
    let old = create(&alice).await?;
    alice.put(&path(&old, &[]), &body).await?;
    let new = create(&alice).await?;
    for wrong in [old.as_str(), "bogus", "99"] {
        let reply = refused(&alice, Method::PUT, &path(wrong, &[]), Some(&body)).await?;
        expect_error(&reply, 403, "M_WRONG_ROOM_KEYS_VERSION");
        assert_eq!(reply.body["current_version"], new.as_str());
    }
    assert_eq!(alice.get(&path(&old, &[])).await?, body, "the old one can still be read");
    assert_eq!(alice.get(&path(&new, &[])).await?, json!({ "rooms": {} }));
    let missing = "/_matrix/client/v3/room_keys/keys";
    expect_error(&refused(&alice, Method::PUT, missing, Some(&body)).await?, 400, "M_MISSING_PARAM");
    Ok(())
}

async fn keys_are_read_and_deleted(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let version = create(&alice).await?;
    let sessions =
        |n: usize| -> Value { (0..n).map(|n| (format!("session/{n}"), session(true, 1, 0, "data"))).collect() };
    let rooms = json!({ "!a:example.org": { "sessions": sessions(3) }, "!b:example.org": { "sessions": sessions(2) },
                        "!\"c\":example.org": { "sessions": sessions(1) } });
    assert_eq!(alice.put(&path(&version, &[]), &json!({ "rooms": rooms })).await?["count"], 6);
    assert_eq!(alice.get(&path(&version, &[])).await?, json!({ "rooms": rooms }));
    let room = path(&version, &["!a:example.org"]);
    assert_eq!(alice.get(&room).await?, json!({ "sessions": sessions(3) }));
    assert_eq!(alice.get(&path(&version, &["!none:example.org"])).await?, json!({ "sessions": {} }));
    let one = path(&version, &["!a:example.org", "session/1"]);
    assert_eq!(alice.get(&one).await?, session(true, 1, 0, "data"));
    expect_error(
        &refused(&alice, Method::GET, &path(&version, &["!a:example.org", "none"]), None).await?,
        404,
        "M_NOT_FOUND",
    );
    expect_error(&refused(&alice, Method::GET, &path("99", &[]), None).await?, 404, "M_NOT_FOUND");
    for (path, count) in [(&one, 5), (&one, 5), (&room, 3), (&room, 3), (&path(&version, &[]), 0)] {
        assert_eq!(alice.call(Method::DELETE, path, None).await?["count"], count);
        assert_eq!(alice.get(&format!("{VERSION}/{version}")).await?["count"], count);
    }
    assert_eq!(alice.get(&path(&version, &[])).await?, json!({ "rooms": {} }));
    expect_error(&refused(&alice, Method::DELETE, &path("99", &[]), None).await?, 404, "M_NOT_FOUND");
    Ok(())
}

async fn a_backup_is_private(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let version = create(&alice).await?;
    let one = path(&version, &["!a:example.org", "s"]);
    alice.put(&one, &session(true, 1, 0, "data")).await?;
    expect_error(&refused(&bob, Method::GET, &one, None).await?, 404, "M_NOT_FOUND");
    assert_eq!(create(&bob).await?, version, "everybody counts alone");
    expect_error(&refused(&bob, Method::GET, &one, None).await?, 404, "M_NOT_FOUND");
    bob.call(Method::DELETE, &path(&version, &[]), None).await?;
    assert_eq!(alice.get(&one).await?, session(true, 1, 0, "data"));
    Ok(())
}

async fn many_sessions_at_once(env: Shared) -> Result<()> {
    const SESSIONS: usize = 20_000;
    let alice = env.user("alice").await?;
    let version = create(&alice).await?;
    let data = "x".repeat(200);
    let mut rooms = json!({});
    for n in 0..SESSIONS {
        rooms[format!("!{}:example.org", n / 1_000)]["sessions"][format!("session{n}")] = session(false, 0, 0, &data);
    }
    let body = json!({ "rooms": rooms });
    for _ in 0..2 {
        assert_eq!(alice.put(&path(&version, &[]), &body).await?["count"], SESSIONS);
    }
    assert!(alice.get(&path(&version, &[])).await? == body, "what was read is not what was written");
    assert_eq!(alice.call(Method::DELETE, &path(&version, &[]), None).await?["count"], 0);
    Ok(())
}

async fn parallel_uploads_lose_nothing(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let version = create(&alice).await?;
    // devices of one user, which have some sessions in common
    try_join_all((0..8).map(|device| {
        let sessions: Value = (0..60).map(|n| (format!("s{}", device * 30 + n), session(false, 0, 0, "x"))).collect();
        let (alice, path) = (alice.clone(), path(&version, &["!room:example.org"]));
        async move { alice.put(&path, &json!({ "sessions": sessions })).await }
    }))
    .await?;
    let found = alice.get(&path(&version, &["!room:example.org"])).await?;
    assert_eq!(found["sessions"].as_object().map(serde_json::Map::len), Some(270));
    assert_eq!(alice.get(VERSION).await?["count"], 270);
    Ok(())
}

async fn malformed_backups_are_refused(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    for body in [
        "{}",
        r#"{"algorithm":7,"auth_data":{}}"#,
        r#"{"algorithm":"x"}"#,
        "[]",
        r#"{"algorithm":"x","auth_data":"\u0000"}"#,
    ] {
        let reply = alice.request_raw(Method::POST, VERSION, "application/json", body.into()).await?;
        assert_eq!((reply.status, reply.errcode()), (400, "M_BAD_JSON"), "{body}: {}", reply.text);
    }
    let version = create(&alice).await?;
    let path = path(&version, &[]);
    let room = |sessions: &str| format!(r#"{{"rooms":{{"!a:b":{{"sessions":{sessions}}}}}}}"#);
    let good = r#""first_message_index":0,"forwarded_count":0,"is_verified":false"#;
    for body in [
        "{}".to_owned(),
        r#"{"rooms":[]}"#.to_owned(),
        room("[]"),
        room("7"),
        room(r#"{"s":7}"#),
        room(r#"{"s":{}}"#),
        room(&format!(r#"{{"s":{{{good}}}}}"#)),
        room(r#"{"s":{"first_message_index":-1,"forwarded_count":0,"is_verified":false,"session_data":{}}}"#),
        room(r#"{"s":{"first_message_index":1e400,"forwarded_count":0,"is_verified":false,"session_data":{}}}"#),
        room(r#"{"s":{"first_message_index":0.5,"forwarded_count":0,"is_verified":false,"session_data":{}}}"#),
        room(r#"{"s":{"first_message_index":0,"forwarded_count":0,"is_verified":"no","session_data":{}}}"#),
        room(&format!(r#"{{"{}":{{{good},"session_data":{{}}}}}}"#, "x".repeat(5_000))),
        room(&format!(r#"{{"s":{{{good},"session_data":"{}"}}}}"#, "x".repeat(100_000))),
    ] {
        let shown = &body[..body.len().min(200)];
        let reply = alice.request_raw(Method::PUT, &path, "application/json", body.clone().into()).await?;
        assert_eq!(reply.status, 400, "{shown}: {}", reply.text);
    }
    assert_eq!(alice.get(&path).await?, json!({ "rooms": {} }));
    Ok(())
}
