//! The edge: what is said to those who ask wrongly, and what every answer carries.

use anyhow::Result;
use matrixon_testkit::{
    client::{Client, Method, room_path},
    tests,
};
use serde_json::json;

use crate::env::{Env, Shared, expect_error, list};

tests![Env: unknown_paths_are_unrecognized, wrong_methods_are_unrecognized, browsers_may_ask, errors_carry_cors_too,
    versions_are_told, well_known_is_there, health_answers, big_bodies_are_refused, answers_are_compressed, h2_is_spoken,
    media_and_federation_are_not_there_yet, no_json_is_not_json, ids_in_paths_are_checked, answers_are_safe_for_browsers];

async fn unknown_paths_are_unrecognized(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let nobody = env.nobody();
    let paths = [
        "/_matrix/client/v3/nothing",
        "/_matrix/client/v99/sync",
        "/_matrix/client/unstable/org.example/x",
        "/_matrix/nothing",
        "/_matrix/client/v3/rooms//state",
        "/_matrix/client/v3/../v3/sync/..",
    ];
    for path in paths {
        for client in [&alice, &nobody] {
            expect_error(&client.request(Method::GET, path, None).await?, 404, "M_UNRECOGNIZED");
            expect_error(&client.request(Method::PUT, path, Some(&json!({}))).await?, 404, "M_UNRECOGNIZED");
        }
    }
    Ok(())
}

async fn wrong_methods_are_unrecognized(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let cases = [
        (Method::DELETE, "/_matrix/client/v3/sync"),
        (Method::POST, "/_matrix/client/versions"),
        (Method::PUT, "/_matrix/client/v3/createRoom"),
        (Method::PATCH, "/_matrix/client/v3/login"),
        (Method::GET, "/_matrix/client/v3/logout"),
    ];
    for (method, path) in cases {
        expect_error(&alice.request(method.clone(), path, None).await?, 405, "M_UNRECOGNIZED");
        expect_error(&env.nobody().request(method, path, None).await?, 405, "M_UNRECOGNIZED");
    }
    Ok(())
}

async fn browsers_may_ask(env: Shared) -> Result<()> {
    let nobody = env.nobody();
    for path in
        ["/_matrix/client/v3/sync", "/_matrix/client/v3/login", "/_matrix/client/v3/rooms/!a:b/send/m.room.message/1"]
    {
        let reply = nobody.request(Method::OPTIONS, path, None).await?;
        assert!([200, 204].contains(&reply.status), "{path}: {} {}", reply.status, reply.text);
        assert_eq!(reply.header("access-control-allow-origin"), "*");
        for method in ["GET", "POST", "PUT", "DELETE"] {
            assert!(reply.header("access-control-allow-methods").contains(method), "{:?}", reply.headers);
        }
        let allowed = reply.header("access-control-allow-headers").to_lowercase();
        assert!(allowed.contains("authorization") && allowed.contains("content-type"), "{allowed}");
    }
    Ok(())
}

async fn errors_carry_cors_too(env: Shared) -> Result<()> {
    let nobody = env.nobody();
    for path in ["/_matrix/client/v3/sync", "/_matrix/client/v3/nothing", "/_matrix/client/versions"] {
        for method in [Method::GET, Method::DELETE] {
            let reply = nobody.request(method, path, None).await?;
            assert_eq!(reply.header("access-control-allow-origin"), "*", "{path} {}", reply.status);
            assert!(reply.header("content-type").starts_with("application/json"), "{path} {:?}", reply.headers);
        }
    }
    Ok(())
}

async fn versions_are_told(env: Shared) -> Result<()> {
    let body = env.nobody().get("/_matrix/client/versions").await?;
    let versions = list(&body, "/versions");
    assert!(versions.contains(&json!("v1.1")) && versions.contains(&json!("v1.11")), "{body}");
    Ok(())
}

async fn well_known_is_there(env: Shared) -> Result<()> {
    for name in ["client", "server"] {
        let reply = env.nobody().request(Method::GET, &format!("/.well-known/matrix/{name}"), None).await?;
        // 404 while no public address is configured, and then with CORS as well
        assert!([200, 404].contains(&reply.status), "{} {}", reply.status, reply.text);
        assert!(reply.body.is_object(), "{}", reply.text);
        assert_eq!(reply.header("access-control-allow-origin"), "*");
    }
    Ok(())
}

async fn health_answers(env: Shared) -> Result<()> {
    let reply = env.nobody().request(Method::GET, "/health", None).await?;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert!(reply.body.is_object(), "{}", reply.text);
    Ok(())
}

async fn big_bodies_are_refused(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let room = env.room(&alice, &[]).await?;
    let mut body = br#"{"msgtype":"m.text","body":""#.to_vec();
    body.resize(2 << 20, b'x');
    body.extend_from_slice(b"\"}");
    let path = room_path(&room, "send/m.room.message/big");
    let reply = alice.request_raw(Method::PUT, &path, "application/json", body).await?;
    expect_error(&reply, 413, "M_TOO_LARGE");
    Ok(())
}

async fn answers_are_compressed(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    env.room(&alice, &[]).await?;
    let token = alice.token.clone().unwrap_or_default();
    let http = matrixon_testkit::client::http().build()?;
    for encoding in ["gzip", "zstd"] {
        let url = format!("{}/_matrix/client/v3/sync", alice.next_url());
        let response = http.get(url).bearer_auth(&token).header("accept-encoding", encoding).send().await?;
        let found = response.headers().get("content-encoding").and_then(|value| value.to_str().ok());
        assert_eq!(found, Some(encoding), "{:?}", response.headers());
        let magic: &[u8] = if encoding == "gzip" { &[0x1f, 0x8b] } else { &[0x28, 0xb5, 0x2f, 0xfd] };
        assert!(response.bytes().await?.starts_with(magic));
    }
    Ok(())
}

async fn h2_is_spoken(env: Shared) -> Result<()> {
    let http = matrixon_testkit::client::http().http2_prior_knowledge().build()?;
    let response = http.get(format!("{}/_matrix/client/versions", env.urls[0])).send().await?;
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    assert_eq!(response.status(), 200);
    Ok(())
}

async fn media_and_federation_are_not_there_yet(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    for path in ["/_matrix/media/v3/config", "/_matrix/client/v1/media/config", "/_matrix/federation/v1/version"] {
        expect_error(&alice.request(Method::GET, path, None).await?, 404, "M_UNRECOGNIZED");
    }
    expect_error(&alice.request(Method::POST, "/_matrix/media/v3/upload", None).await?, 404, "M_UNRECOGNIZED");
    Ok(())
}

async fn no_json_is_not_json(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let path = "/_matrix/client/v3/createRoom";
    for body in [&b"{"[..], b"nonsense", b"{\"name\": \"\xff\"}", b"{\"a\":1,}", b"{'a':1}", b"\xef\xbb\xbf{} x"] {
        let reply = alice.request_raw(Method::POST, path, "application/json", body.to_vec()).await?;
        expect_error(&reply, 400, "M_NOT_JSON");
    }
    for body in [&b"[]"[..], b"\"text\"", b"7", b"{\"name\": 7}", b"{\"invite\": \"@a:b\"}"] {
        let reply = alice.request_raw(Method::POST, path, "application/json", body.to_vec()).await?;
        expect_error(&reply, 400, "M_BAD_JSON");
    }
    Ok(())
}

async fn ids_in_paths_are_checked(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let long = format!("!{}:example.org", "x".repeat(6_000));
    for room in ["not-a-room", "%00", "!%00:example.org", "@user:example.org", "%ff", long.as_str()] {
        let reply = alice.request(Method::GET, &format!("/_matrix/client/v3/rooms/{room}/state"), None).await?;
        assert!([400, 403, 404].contains(&reply.status), "{room}: {} {}", reply.status, reply.text);
        assert!(reply.errcode().starts_with("M_"), "{room}: {}", reply.text);
    }
    Ok(())
}

async fn answers_are_safe_for_browsers(env: Shared) -> Result<()> {
    let nobody: Client = env.nobody();
    let reply = nobody.request(Method::GET, "/_matrix/client/versions", None).await?;
    assert_eq!(reply.header("x-content-type-options"), "nosniff", "{:?}", reply.headers);
    Ok(())
}
