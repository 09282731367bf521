//! A thousand malformed requests: each gets the client's error in Matrix's form, none a server error, none a
//! hang; memory does not grow by them, and the server works afterwards.

use anyhow::{Result, ensure};
use futures::{StreamExt, stream};
use matrixon_testkit::{
    client::{Client, Method, escape, room_path},
    tests,
};

use crate::env::{Env, Shared};

tests![Env: a_thousand_malformed_requests];

/// Growth that is no leak: caches of a process that has just started.
const GROWTH_KIB: u64 = 48 * 1024;

struct Request {
    method: Method,
    path: String,
    body: Vec<u8>,
}

/// Bodies that no endpoint may accept.
fn bad_bodies() -> Vec<Vec<u8>> {
    let mut bodies: Vec<Vec<u8>> = [
        "{",
        "}",
        "nonsense",
        "nul",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "[",
        "[]",
        "[{}]",
        "null",
        "true",
        "1",
        "\"x\"",
        "{} {}",
        "{\"a\": 01}",
        "{\"a\": .5}",
        "{\"a\": NaN}",
        "{\"a\": Infinity}",
        "{\"a\": \"\\x\"}",
        "{\"a\": \"\\ud800\"}",
        "{\"\\udfff\": 1}",
        "{\"a\": \"\\ud800\\ud800\"}",
        "{\"a\": \"\u{1}\"}",
        "{\"a\": '1'}",
        "/* c */ {}",
        "{\"a\": 1e400}",
        "{\"a\": -1e999}",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    bodies.extend(
        [&b"{\"a\": \"\xff\"}"[..], b"\xff\xfe{\0}\0", b"{\"a\": \"\xed\xa0\x80\"}", b"\0", b"{\"a\": \"\0\"}"]
            .map(<[u8]>::to_vec),
    );
    for depth in [5_000, 100_000] {
        bodies.push(["{\"a\":".repeat(depth), "1".into(), "}".repeat(depth)].concat().into_bytes());
        bodies.push(["{\"a\":".into(), "[".repeat(depth), "]".repeat(depth), "}".into()].concat().into_bytes());
    }
    bodies
}

/// Event contents that canonical JSON or the database cannot hold.
fn bad_contents() -> Vec<Vec<u8>> {
    let texts = [
        "{\"body\": 1.5}",
        "{\"n\": 9007199254740992}",
        "{\"n\": -9007199254740992}",
        "{\"n\": 1e20}",
        "{\"n\": {\"m\": [0.1]}}",
        "{\"n\": 18446744073709551616}",
        "{\"n\": -0.5}",
    ];
    let mut bodies: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    bodies.push(format!("{{\"{}\": 1}}", "k".repeat(1 << 20)).into_bytes());
    bodies.push(format!("{{\"body\": \"{}\"}}", "x".repeat(1 << 20)).into_bytes());
    bodies.push(
        format!("{{{}}}", (0..20_000).map(|n| format!("\"{n}\":{n}")).collect::<Vec<_>>().join(",")).into_bytes(),
    );
    bodies
}

/// Values of every type; which of them is wrong depends.
const VALUES: [&str; 8] = ["1", "true", "[]", "{}", "\"x\"", "[1]", "1.5", "null"];

/// An endpoint, and its fields with values that they cannot have.
type Wrong = (&'static str, Method, &'static [(&'static str, &'static [&'static str])]);

/// Wrong types for the fields that the endpoints know.
fn wrong_types() -> Vec<(Method, &'static str, Vec<String>)> {
    let fields: [Wrong; 3] = [
        (
            "/_matrix/client/v3/createRoom",
            Method::POST,
            &[
                ("name", &["1", "true", "[]", "{}"]),
                ("invite", &["1", "true", "{}", "\"x\"", "[1]", "[\"no-user-id\"]", "[\"@\\u0000:x\"]"]),
                ("preset", &["1", "[]", "{}", "\"no_preset\""]),
                ("room_version", &["1", "[]", "{}", "\"nope\"", "\"\\u0000\""]),
                ("creation_content", &["1", "[]", "\"x\""]),
                ("initial_state", &["1", "{}", "\"x\"", "[1]", "[{}]", "[{\"type\": 1, \"content\": {}}]"]),
                (
                    "power_level_content_override",
                    &["1", "[]", "\"x\"", "{\"users\": 1}", "{\"users\": {\"x\": \"y\"}}"],
                ),
                ("room_alias_name", &["1", "[]", "{}", "\"a b\\u0000\"", "\"#a:b\""]),
                ("visibility", &["1", "[]", "{}"]),
            ],
        ),
        (
            "/_matrix/client/v3/login",
            Method::POST,
            &[
                ("type", &["1", "true", "[]", "{}", "\"x\"", "null"]),
                ("type\": \"m.login.password\", \"identifier", &["1", "[]", "\"x\"", "{}", "{\"type\": 1}"]),
            ],
        ),
        ("/_matrix/client/v3/refresh", Method::POST, &[("refresh_token", &VALUES)]),
    ];
    fields
        .into_iter()
        .map(|(path, method, fields)| {
            let body = |name: &str, value: &&str| format!("{{\"{name}\": {value}}}");
            let bodies = fields.iter().flat_map(|(name, values)| values.iter().map(move |value| body(name, value)));
            (method, path, bodies.collect())
        })
        .collect()
}

fn build_all(user: &Client, room: &str) -> Vec<Request> {
    let own = escape(&user.user_id);
    let with_body = [
        (Method::POST, "/_matrix/client/v3/createRoom".to_owned()),
        (Method::POST, "/_matrix/client/v3/login".to_owned()),
        (Method::POST, "/_matrix/client/v3/refresh".to_owned()),
        (Method::PUT, room_path(room, "send/m.room.message/bad")),
        (Method::PUT, room_path(room, "state/m.room.topic/")),
        (Method::POST, room_path(room, "invite")),
        (Method::POST, room_path(room, "kick")),
        (Method::POST, room_path(room, "ban")),
        (Method::POST, room_path(room, "unban")),
        (Method::POST, room_path(room, "join")),
        (Method::POST, room_path(room, "leave")),
        (Method::POST, room_path(room, "receipt/m.read/$x")),
        (Method::PUT, room_path(room, "redact/$x/bad")),
        (Method::POST, "/_matrix/client/v3/register".to_owned()),
        (Method::PUT, format!("/_matrix/client/v3/profile/{own}/avatar_url")),
        (Method::PUT, room_path(room, &format!("typing/{own}"))),
        (Method::POST, format!("/_matrix/client/v3/user/{own}/filter")),
        (Method::PUT, format!("/_matrix/client/v3/profile/{own}/displayname")),
        (Method::PUT, format!("/_matrix/client/v3/user/{own}/account_data/org.example.bad")),
        (Method::PUT, format!("/_matrix/client/v3/directory/room/{}", escape("#bad:example.org"))),
    ];
    let mut requests = Vec::new();
    for (method, path) in with_body {
        requests.extend(bad_bodies().into_iter().map(|body| Request {
            method: method.clone(),
            path: path.clone(),
            body,
        }));
    }
    for path in ["send/m.room.message/bad", "state/org.example.bad/key", "state/m.room.topic/"] {
        let path = room_path(room, path);
        // nothing is no JSON, where there is something to put
        requests.push(Request { method: Method::PUT, path: path.clone(), body: Vec::new() });
        requests.extend(bad_contents().into_iter().map(|body| Request {
            method: Method::PUT,
            path: path.clone(),
            body,
        }));
    }
    for (method, path, bodies) in wrong_types() {
        let accepted = |body: &String| path.ends_with("createRoom") && body.contains("null");
        let bodies = bodies.into_iter().filter(|body| !accepted(body));
        requests.extend(bodies.map(|body| Request {
            method: method.clone(),
            path: path.into(),
            body: body.into_bytes(),
        }));
    }
    requests.extend(bad_paths(room));
    requests
}

/// Identifiers and parameters that cannot be.
fn bad_paths(room: &str) -> Vec<Request> {
    let long = "x".repeat(6_000);
    let huge = "x".repeat(60_000);
    let ids = [
        "x",
        "!",
        "!:",
        "!a",
        "%00",
        "!%00:b",
        "!a:%00",
        "%ed%a0%80",
        "%ff",
        "@a:b",
        "!a:b:c:d:e",
        "..",
        "%2e%2e",
        "%2F",
        " ",
        "!\u{202e}:b",
        &format!("!{long}:b"),
        &format!("!{huge}:b"),
        "!a:[::1",
        "!a:b%20c",
        "!none:example.org",
    ]
    .map(ToOwned::to_owned);
    let mut requests = Vec::new();
    let mut get = |path: String| requests.push(Request { method: Method::GET, path, body: Vec::new() });
    for id in &ids {
        for rest in
            ["state", "members", "joined_members", "messages?dir=b", "event/$x", "context/$x", "state/m.room.name/"]
        {
            get(format!("/_matrix/client/v3/rooms/{}/{rest}", id.replace(' ', "%20")));
        }
    }
    let values = ["-1", "x", "1e400", "99999999999999999999999", "%00", "1.5", "NaN", "", "%ff", "0x1", &long];
    for value in values {
        get(room_path(room, &format!("messages?dir=b&limit={value}")));
        get(room_path(room, &format!("messages?dir=b&from={value}x")));
        get(room_path(room, &format!("messages?dir={value}")));
        get(format!("/_matrix/client/v3/sync?timeout={value}"));
        get(format!("/_matrix/client/v3/sync?since={value}x"));
        get(format!("/_matrix/client/v3/sync?filter=%7B{value}"));
    }
    requests
}

/// Resident memory of all our processes.
fn memory_kib(env: &Env) -> Result<u64> {
    let Some(cluster) = &env.cluster else { return Ok(0) };
    let mut total = 0;
    for pid in cluster.state()?.processes.iter().filter_map(|process| process.pid) {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
        total += line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0);
    }
    Ok(total)
}

async fn refuse(client: &Client, request: &Request) -> Result<Option<String>> {
    let kind = "application/json";
    let reply = client.request_raw(request.method.clone(), &request.path, kind, request.body.clone()).await?;
    let is_error = (400..500).contains(&reply.status) && reply.errcode().starts_with("M_");
    let shown = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(120)]).into_owned();
    let (method, status) = (&request.method, reply.status);
    let (path, body, text) = (shown(request.path.as_bytes()), shown(&request.body), shown(reply.text.as_bytes()));
    Ok((!is_error).then(|| format!("{method} {path} {body}\n      -> {status} {text}")))
}

async fn refuse_all(client: &Client, requests: &[Request]) -> Result<Vec<String>> {
    let asking: Vec<_> = requests.iter().map(|request| refuse(client, request)).collect();
    let answers: Vec<Result<Option<String>>> = stream::iter(asking).buffer_unordered(8).collect().await;
    let answers: Result<Vec<Option<String>>> = answers.into_iter().collect();
    Ok(answers?.into_iter().flatten().collect())
}

async fn a_thousand_malformed_requests(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let room = env.room(&alice, &[]).await?;
    let requests = build_all(&alice, &room);
    ensure!(requests.len() >= 1_000, "only {} requests", requests.len());
    let wrong = refuse_all(&alice, &requests).await?;
    ensure!(
        wrong.is_empty(),
        "{} of {} were not refused as they must be:\n    {}",
        wrong.len(),
        requests.len(),
        wrong.join("\n    ")
    );
    let before = memory_kib(&env)?;
    refuse_all(&alice, &requests).await?;
    let after = memory_kib(&env)?;
    ensure!(after < before + GROWTH_KIB, "memory grew from {before} KiB to {after} KiB");
    alice.send(&room, "still here").await?;
    let page = alice.messages(&room, 'b', None, 1).await?;
    assert_eq!(page["chunk"][0]["content"]["body"], "still here");
    Ok(())
}
