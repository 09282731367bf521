//! Account data: one's own, global and by room.

use anyhow::Result;
use matrixon_testkit::{
    client::{Client, Method, SyncQuery, escape},
    tests,
};
use serde_json::{Value, json};

use crate::env::{Env, Shared, expect_error, joined, list, sync_token};

tests![Env: what_is_set_is_read, changes_are_told, the_first_sync_has_all, it_is_private, other_sessions_see_it,
    missing_data_is_not_found, any_object_survives,
    what_the_server_keeps_is_not_set, tags_of_rooms, tags_set_at_once_are_all_kept];

fn tags(client: &Client, room: &str, tag: &str) -> String {
    format!("/_matrix/client/v3/user/{}/rooms/{}/tags{tag}", escape(&client.user_id), escape(room))
}

fn path(client: &Client, room: Option<&str>, kind: &str) -> String {
    let user = escape(&client.user_id);
    let room = room.map_or_else(String::new, |room| format!("/rooms/{}", escape(room)));
    format!("/_matrix/client/v3/user/{user}{room}/account_data/{}", escape(kind))
}

fn find<'a>(events: &'a [Value], kind: &str) -> Option<&'a Value> {
    events.iter().find(|event| event["type"] == kind).map(|event| &event["content"])
}

async fn what_is_set_is_read(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let room = env.room(&alice, &[]).await?;
    for room in [None, Some(room.as_str())] {
        let path = path(&alice, room, "org.example.data");
        for value in [json!({ "a": 1 }), json!({}), json!({ "b": [null, "❤"] })] {
            alice.put(&path, &value).await?;
            assert_eq!(alice.get(&path).await?, value);
        }
    }
    Ok(())
}

async fn changes_are_told(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let room = env.room(&alice, &[]).await?;
    let since = sync_token(&alice).await?;
    alice.put(&path(&alice, None, "org.example.global"), &json!({ "n": 1 })).await?;
    let ((), since) = alice
        .sync_until(Some(&since), |sync| {
            let content = find(list(sync, "/account_data/events"), "org.example.global")?;
            (*content == json!({ "n": 1 })).then_some(())
        })
        .await?;
    alice.put(&path(&alice, Some(&room), "org.example.room"), &json!({ "n": 2 })).await?;
    let (sync, since) = alice
        .sync_until(Some(&since), |sync| {
            let content = find(list(joined(sync, &room), "/account_data/events"), "org.example.room")?;
            (*content == json!({ "n": 2 })).then(|| sync.clone())
        })
        .await?;
    assert!(find(list(&sync, "/account_data/events"), "org.example.global").is_none(), "only what is new: {sync}");
    let sync = alice.sync(&SyncQuery::since(&since)).await?;
    assert!(list(&sync, "/account_data/events").is_empty(), "{sync}");
    Ok(())
}

async fn the_first_sync_has_all(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let room = env.room(&alice, &[]).await?;
    for kind in ["org.example.one", "org.example.two"] {
        alice.put(&path(&alice, None, kind), &json!({ "of": kind })).await?;
        alice.put(&path(&alice, Some(&room), kind), &json!({ "in": kind })).await?;
    }
    let sync = alice.sync(&SyncQuery::default()).await?;
    for kind in ["org.example.one", "org.example.two"] {
        assert_eq!(find(list(&sync, "/account_data/events"), kind), Some(&json!({ "of": kind })), "{sync}");
        assert_eq!(find(list(joined(&sync, &room), "/account_data/events"), kind), Some(&json!({ "in": kind })));
    }
    Ok(())
}

async fn it_is_private(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    for room in [None, Some(room.as_str())] {
        let path = path(&alice, room, "org.example.secret");
        alice.put(&path, &json!({ "secret": true })).await?;
        expect_error(&bob.request(Method::GET, &path, None).await?, 403, "M_FORBIDDEN");
        expect_error(&bob.request(Method::PUT, &path, Some(&json!({}))).await?, 403, "M_FORBIDDEN");
    }
    let sync = bob.sync(&SyncQuery::default()).await?;
    assert!(!sync.to_string().contains("org.example.secret"), "{sync}");
    Ok(())
}

async fn other_sessions_see_it(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let second = alice.login(alice.localpart()).await?;
    let since = sync_token(&second).await?;
    alice.put(&path(&alice, None, "m.direct"), &json!({ "@bob:example.org": ["!room:example.org"] })).await?;
    second.sync_until(Some(&since), |sync| find(list(sync, "/account_data/events"), "m.direct").map(|_| ())).await?;
    Ok(())
}

async fn missing_data_is_not_found(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let room = env.room(&alice, &[]).await?;
    for room in [None, Some(room.as_str())] {
        let path = path(&alice, room, "org.example.none");
        expect_error(&alice.request(Method::GET, &path, None).await?, 404, "M_NOT_FOUND");
    }
    Ok(())
}

async fn any_object_survives(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let path = path(&alice, None, "org.example.odd");
    let value = json!({ "": { "": [] }, "float": 1.5, "big": 1e300, "text": "\u{1f600}\u{7f}\t", "no": null });
    alice.put(&path, &value).await?;
    assert_eq!(alice.get(&path).await?, value);
    for body in ["[]", "null", "7", "\"text\""] {
        let reply = alice.request_raw(Method::PUT, &path, "application/json", body.into()).await?;
        assert_eq!((reply.status, reply.errcode()), (400, "M_BAD_JSON"), "{body}: {}", reply.text);
    }
    assert_eq!(alice.get(&path).await?, value);
    Ok(())
}

async fn what_the_server_keeps_is_not_set(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let room = env.room(&alice, &[]).await?;
    for room in [None, Some(room.as_str())] {
        for kind in ["m.fully_read", "m.push_rules"] {
            let reply = alice.request(Method::PUT, &path(&alice, room, kind), Some(&json!({}))).await?;
            expect_error(&reply, 405, "M_BAD_JSON");
        }
    }
    let rules = alice.get(&path(&alice, None, "m.push_rules")).await?;
    assert!(rules["global"].is_object(), "read as normal: {rules}");
    let reply = alice.request(Method::PUT, &path(&alice, Some("not-a-room"), "org.example"), Some(&json!({}))).await?;
    expect_error(&reply, 400, "M_INVALID_PARAM");
    Ok(())
}

async fn tags_of_rooms(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    assert_eq!(alice.get(&tags(&alice, &room, "")).await?, json!({ "tags": {} }));
    let since = sync_token(&alice).await?;
    alice.put(&tags(&alice, &room, "/m.favourite"), &json!({ "order": 0.25, "org.example.more": 1 })).await?;
    alice.put(&tags(&alice, &room, "/u.w%C3%B6rk"), &json!({})).await?;
    let both = json!({ "tags": { "m.favourite": { "order": 0.25, "org.example.more": 1 }, "u.wörk": {} } });
    assert_eq!(alice.get(&tags(&alice, &room, "")).await?, both);
    let sync = alice.sync(&SyncQuery::since(&since)).await?;
    assert_eq!(find(list(joined(&sync, &room), "/account_data/events"), "m.tag"), Some(&both), "{sync}");
    for _ in 0..2 {
        let removed = alice.request(Method::DELETE, &tags(&alice, &room, "/u.w%C3%B6rk"), None).await?;
        assert_eq!((removed.status, removed.text.as_str()), (200, "{}"));
    }
    assert_eq!(
        alice.get(&path(&alice, Some(&room), "m.tag")).await?["tags"],
        json!({ "m.favourite": both["tags"]["m.favourite"] })
    );
    assert_eq!(bob.get(&tags(&bob, &room, "")).await?, json!({ "tags": {} }), "everybody has their own");

    let refused = async |method, path: &str, body: &Value| bob.request(method, path, Some(body)).await;
    let own = tags(&bob, &room, "/u.x");
    expect_error(&refused(Method::PUT, &tags(&alice, &room, "/u.x"), &json!({})).await?, 403, "M_FORBIDDEN");
    expect_error(&bob.request(Method::GET, &tags(&alice, &room, ""), None).await?, 403, "M_FORBIDDEN");
    expect_error(&refused(Method::PUT, &own, &json!([])).await?, 400, "M_BAD_JSON");
    let nowhere = tags(&bob, "!nowhere:example.org", "/u.x");
    expect_error(&refused(Method::PUT, &nowhere, &json!({})).await?, 404, "M_NOT_FOUND");
    let long = tags(&bob, &room, &format!("/{}", "x".repeat(256)));
    expect_error(&refused(Method::PUT, &long, &json!({})).await?, 400, "M_INVALID_PARAM");
    Ok(())
}

/// Through all gateways at the same time: none overwrites another.
async fn tags_set_at_once_are_all_kept(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let room = env.room(&alice, &[]).await?;
    let names: Vec<String> = (0..24).map(|number| format!("u.{number}")).collect();
    let paths: Vec<String> = names.iter().map(|name| tags(&alice, &room, &format!("/{name}"))).collect();
    let info = json!({});
    futures::future::try_join_all(paths.iter().map(|path| alice.put(path, &info))).await?;
    let set = alice.get(&tags(&alice, &room, "")).await?;
    assert!(names.iter().all(|name| set["tags"][name] == info), "{set}");
    Ok(())
}
