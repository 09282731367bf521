//! `/messages`: history both ways, in pages, filtered, and to whom it is open.

use anyhow::Result;
use matrixon_testkit::{
    client::{Client, Method, SyncQuery, escape, room_path},
    tests,
};
use serde_json::json;

use crate::env::{Env, Shared, bodies, event_ids, expect_error, joined, list, read_history, sync_token, timeline};

tests![Env: pages_join_without_a_seam, limits_are_kept, a_filter_chooses, sync_and_history_meet, tokens_work_at_every_gateway,
    lazy_members_come_along, strangers_see_nothing, garbage_is_refused, to_ends_the_page];

async fn talk(client: &Client, room: &str, count: usize) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for number in 0..count {
        texts.push(number.to_string());
        client.send(room, &texts[number]).await?;
    }
    Ok(texts)
}

async fn pages_join_without_a_seam(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let room = env.room(&alice, &[]).await?;
    let texts = talk(&alice, &room, 23).await?;
    let forward = read_history(&alice, &room, 'f', 5).await?;
    assert_eq!(bodies(&forward), texts);
    assert_eq!(forward[0]["type"], "m.room.create", "history begins with the room");
    let mut backward = read_history(&alice, &room, 'b', 7).await?;
    backward.reverse();
    assert_eq!(event_ids(&backward), event_ids(&forward));
    Ok(())
}

async fn limits_are_kept(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let room = env.room(&alice, &[]).await?;
    talk(&alice, &room, 15).await?;
    let page = alice.get(&room_path(&room, "messages?dir=b")).await?;
    assert_eq!(list(&page, "/chunk").len(), 10, "ten is the default");
    let page = alice.messages(&room, 'b', None, 1_000_000_000).await?;
    assert!(list(&page, "/chunk").len() >= 15);
    for limit in ["-1", "ten", "1e400"] {
        let reply =
            alice.request(Method::GET, &room_path(&room, &format!("messages?dir=b&limit={limit}")), None).await?;
        assert_eq!(reply.status, 400, "limit={limit}: {}", reply.text);
    }
    Ok(())
}

async fn a_filter_chooses(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    for number in 0..6 {
        let client = if number % 2 == 0 { &alice } else { &bob };
        client.send(&room, &number.to_string()).await?;
    }
    let ask = |filter: serde_json::Value| {
        let path = room_path(&room, &format!("messages?dir=f&limit=50&filter={}", escape(&filter.to_string())));
        let alice = alice.clone();
        async move { alice.get(&path).await }
    };
    let page = ask(json!({ "rooms": ["!elsewhere:example.org"] })).await?;
    assert_eq!(list(&page, "/chunk").len(), 0, "the filter is about another room: {page}");
    let page = ask(json!({ "not_rooms": [room] })).await?;
    assert_eq!(list(&page, "/chunk").len(), 0, "{page}");
    let page = ask(json!({ "types": ["m.room.message"] })).await?;
    assert_eq!(list(&page, "/chunk").len(), 6);
    let page = ask(json!({ "types": ["m.room.*"], "not_types": ["m.room.message"] })).await?;
    assert!(bodies(list(&page, "/chunk")).is_empty() && !list(&page, "/chunk").is_empty());
    let page = ask(json!({ "senders": [bob.user_id], "types": ["m.room.message"] })).await?;
    assert_eq!(bodies(list(&page, "/chunk")), ["1", "3", "5"]);
    let page = ask(json!({ "not_senders": [bob.user_id], "types": ["m.room.message"] })).await?;
    assert_eq!(bodies(list(&page, "/chunk")), ["0", "2", "4"]);
    Ok(())
}

async fn sync_and_history_meet(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let room = env.room(&alice, &[]).await?;
    let texts = talk(&alice, &room, 20).await?;
    let filter = json!({ "room": { "timeline": { "limit": 5 } } });
    let sync = alice.sync(&SyncQuery::default().filter(&filter)).await?;
    assert_eq!(bodies(timeline(&sync, &room)), texts[15..]);
    assert_eq!(joined(&sync, &room)["timeline"]["limited"], true);
    let prev = joined(&sync, &room)["timeline"]["prev_batch"].as_str().expect("prev_batch");
    let page = alice.messages(&room, 'b', Some(prev), 4).await?;
    let wanted: Vec<&str> = texts[11..15].iter().rev().map(String::as_str).collect();
    assert_eq!(bodies(list(&page, "/chunk")), wanted, "no gap and nothing twice");
    // and from the sync token forwards: what came later
    let next = sync["next_batch"].as_str().expect("next_batch");
    alice.send(&room, "later").await?;
    let page = alice.messages(&room, 'f', Some(next), 10).await?;
    assert_eq!(bodies(list(&page, "/chunk")), ["later"]);
    Ok(())
}

async fn tokens_work_at_every_gateway(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let room = env.room(&alice, &[]).await?;
    talk(&alice, &room, 10).await?;
    let first = alice.pinned(0).messages(&room, 'b', None, 3).await?;
    let end = first["end"].as_str().expect("end");
    let pages = [
        alice.pinned(0).messages(&room, 'b', Some(end), 3).await?,
        alice.pinned(1).messages(&room, 'b', Some(end), 3).await?,
    ];
    assert_eq!(event_ids(list(&pages[0], "/chunk")), event_ids(list(&pages[1], "/chunk")));
    assert_eq!(bodies(list(&pages[0], "/chunk")), ["6", "5", "4"]);
    Ok(())
}

async fn lazy_members_come_along(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let carol = env.user("carol").await?;
    let room = env.room(&alice, &[&bob, &carol]).await?;
    bob.send(&room, "hello").await?;
    let filter = escape(&json!({ "lazy_load_members": true }).to_string());
    let page = alice.get(&room_path(&room, &format!("messages?dir=b&limit=1&filter={filter}"))).await?;
    let members: Vec<_> = list(&page, "/state").iter().map(|event| event["state_key"].as_str()).collect();
    assert_eq!(members, [Some(bob.user_id.as_str())], "{page}");
    Ok(())
}

async fn strangers_see_nothing(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[]).await?;
    talk(&alice, &room, 3).await?;
    let path = room_path(&room, "messages?dir=b");
    expect_error(&bob.request(Method::GET, &path, None).await?, 403, "M_FORBIDDEN");
    let reply = bob.request(Method::GET, &room_path("!none:example.org", "messages?dir=b"), None).await?;
    assert!([403, 404].contains(&reply.status), "{} {}", reply.status, reply.text);
    Ok(())
}

async fn garbage_is_refused(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let room = env.room(&alice, &[]).await?;
    let queries = [
        "dir=b&from=garbage",
        "dir=sideways",
        "",
        "dir=b&from=%00",
        "dir=b&filter=%7B",
        "dir=b&from=m1_99999999999999999999",
    ];
    for query in queries {
        let reply = alice.request(Method::GET, &room_path(&room, &format!("messages?{query}")), None).await?;
        assert_eq!(reply.status, 400, "{query}: {}", reply.text);
        assert!(reply.errcode().starts_with("M_"), "{query}: {}", reply.text);
    }
    Ok(())
}

async fn to_ends_the_page(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let room = env.room(&alice, &[]).await?;
    alice.send(&room, "before").await?;
    let from = sync_token(&alice).await?;
    alice.send(&room, "between").await?;
    let to = sync_token(&alice).await?;
    alice.send(&room, "after").await?;
    let (from, to) = (escape(&from), escape(&to));
    let page = alice.get(&room_path(&room, &format!("messages?dir=f&limit=50&from={from}&to={to}"))).await?;
    assert_eq!(bodies(list(&page, "/chunk")), ["between"]);
    let page = alice.get(&room_path(&room, &format!("messages?dir=b&limit=50&from={to}&to={from}"))).await?;
    assert_eq!(bodies(list(&page, "/chunk")), ["between"]);
    Ok(())
}
