//! Rate limits, on a server of their own where they are on.

use anyhow::Result;
use matrixon_testkit::{
    client::{Client, Method, PASSWORD, next_txn_id, room_path},
    cluster::Topology,
    tests,
};
use serde_json::{Value, json};

use crate::env::{Env, Shared, expect_error};

tests![Env: too_many_messages_are_refused, too_many_logins_are_refused, one_limit_for_all_gateways];

const BURST: usize = 12;

/// Few messages and logins, all else generous: the tests themselves register and create rooms.
pub(crate) fn start(topology: Topology) -> Result<Env> {
    let few = |burst: usize| {
        let limit: toml::Table = [("per_second", 0.5), ("burst", burst as f64)]
            .into_iter()
            .map(|(name, value)| (name.to_owned(), toml::Value::from(value)))
            .collect();
        toml::Value::from(limit)
    };
    let mut options = Env::options()
        .with("auth.open_registration", true)
        .with("auth.password.memory_kib", 8)
        .with("auth.password.iterations", 1)
        .with("gateway.rate_limits.message", few(BURST));
    for class in ["register", "create_room", "join", "invite", "write"] {
        options = options.with(&format!("gateway.rate_limits.{class}"), few(1_000));
    }
    options = options.with("gateway.rate_limits.login", few(5));
    Env::start_with(topology, &options)
}

async fn send(client: &Client, room: &str) -> Result<matrixon_testkit::client::Reply> {
    let path = room_path(room, &format!("send/m.room.message/{}", next_txn_id()));
    client.request(Method::PUT, &path, Some(&json!({ "msgtype": "m.text", "body": "x" }))).await
}

async fn too_many_messages_are_refused(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    for number in 0..BURST {
        assert_eq!(send(&alice, &room).await?.status, 200, "message {number} of a burst of {BURST}");
    }
    let mut refused = send(&alice, &room).await?;
    for _ in 0..5 {
        if refused.status == 429 {
            break;
        }
        refused = send(&alice, &room).await?;
    }
    expect_error(&refused, 429, "M_LIMIT_EXCEEDED");
    assert!(refused.body["retry_after_ms"].as_u64().is_some_and(|ms| ms > 0), "{}", refused.text);
    assert!(refused.header("retry-after").parse::<u64>().is_ok(), "{:?}", refused.headers);
    assert_eq!(refused.header("access-control-allow-origin"), "*");
    assert_eq!(send(&bob, &room).await?.status, 200, "the others are not concerned");
    Ok(())
}

async fn too_many_logins_are_refused(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let identifier = json!({ "type": "m.id.user", "user": alice.localpart() });
    let body = json!({ "type": "m.login.password", "identifier": identifier, "password": PASSWORD });
    let mut statuses = Vec::new();
    for _ in 0..12 {
        let mut reply = env.nobody().request(Method::POST, "/_matrix/client/v3/login", Some(&body)).await?;
        statuses.push((reply.status, reply.body["errcode"].take()));
    }
    assert!(statuses.iter().any(|(status, _)| *status == 200), "{statuses:?}");
    let refused = |(status, errcode): &(u16, Value)| *status == 429 && errcode == "M_LIMIT_EXCEEDED";
    assert!(statuses.iter().any(refused), "{statuses:?}");
    Ok(())
}

async fn one_limit_for_all_gateways(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let room = env.room(&alice, &[]).await?;
    let mut accepted = 0;
    for gateway in 0..BURST * 2 {
        accepted += usize::from(send(&alice.pinned(gateway), &room).await?.status == 200);
    }
    // the bucket refills a little meanwhile
    assert!((BURST..BURST + 5).contains(&accepted), "{accepted} of a burst of {BURST}");
    Ok(())
}
