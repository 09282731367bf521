//! `/sync` as a stream: initial, incremental, long-polling, limits, filters.

use std::time::{Duration, Instant};

use anyhow::Result;
use matrixon_testkit::{
    client::{Client, Method, SyncQuery, escape},
    tests,
};
use serde_json::{Value, json};

use crate::env::{Env, Shared, bodies, event_ids, expect_error, find_state, joined, list, sync_token, timeline};

tests![Env: the_first_sync_is_complete, only_news_comes_next, a_message_wakes_the_sleeper, a_quiet_poll_ends_in_time,
    a_burst_is_limited, state_changed_in_a_gap_is_told, every_gateway_knows_at_once, filters_choose_events,
    stored_filters_work, members_load_lazily, full_state_is_full, garbage_is_refused, each_event_comes_once,
    rooms_can_be_chosen];

/// A sync that waits long enough for anything that is on its way. One that does not wait must know all that was
/// acknowledged anywhere before.
pub(crate) fn patient(since: &str) -> SyncQuery {
    SyncQuery::since(since).wait(Duration::from_secs(20))
}

async fn talk(client: &Client, room: &str, range: std::ops::Range<usize>) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for number in range {
        client.send(room, &number.to_string()).await?;
        texts.push(number.to_string());
    }
    Ok(texts)
}

async fn the_first_sync_is_complete(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let body = json!({ "name": "The room", "preset": "private_chat", "invite": [bob.user_id] });
    let room = alice.create_room(&body).await?;
    bob.join(&room).await?;
    let texts = talk(&alice, &room, 0..30).await?;
    let filter = json!({ "room": { "timeline": { "limit": 10 } } });
    let sync = bob.sync(&SyncQuery::default().filter(&filter)).await?;
    assert!(sync["next_batch"].is_string(), "{sync}");
    let part = joined(&sync, &room);
    assert_eq!(bodies(timeline(&sync, &room)), texts[20..]);
    assert_eq!(part["timeline"]["limited"], true);
    assert!(part["timeline"]["prev_batch"].is_string(), "{part}");
    let state = list(part, "/state/events");
    assert_eq!(find_state(state, "m.room.name", "").map(|event| &event["content"]["name"]), Some(&json!("The room")));
    for user in [&alice.user_id, &bob.user_id] {
        assert!(find_state(state, "m.room.member", user).is_some(), "{user} is missing in the state");
    }
    assert_eq!(part["summary"]["m.joined_member_count"], 2, "{part}");
    Ok(())
}

async fn only_news_comes_next(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    let other = env.room(&alice, &[&bob]).await?;
    let since = sync_token(&bob).await?;
    let event_id = alice.send(&room, "news").await?;
    let sync = bob.sync(&SyncQuery::since(&since)).await?;
    assert_eq!(event_ids(timeline(&sync, &room)), [event_id.as_str()]);
    assert_ne!(joined(&sync, &room)["timeline"]["limited"], true);
    assert!(list(joined(&sync, &room), "/state/events").is_empty(), "{sync}");
    assert!(joined(&sync, &other).is_null(), "nothing happened there: {sync}");
    let again = bob.sync(&SyncQuery::since(&since)).await?;
    assert_eq!(event_ids(timeline(&again, &room)), [event_id.as_str()], "a token can be used again");
    Ok(())
}

async fn a_message_wakes_the_sleeper(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    let mut since = sync_token(&bob).await?;
    for round in 0..10 {
        let started = Instant::now();
        let query = patient(&since);
        let text = round.to_string();
        let (sync, sent) = tokio::join!(bob.sync(&query), alice.send(&room, &text));
        let (sync, event_id) = (sync?, sent?);
        assert_eq!(event_ids(timeline(&sync, &room)), [event_id.as_str()], "round {round}");
        assert!(started.elapsed() < Duration::from_secs(5), "woken after {:?}", started.elapsed());
        sync["next_batch"].as_str().unwrap_or_default().clone_into(&mut since);
    }
    Ok(())
}

async fn a_quiet_poll_ends_in_time(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    let since = sync_token(&bob).await?;
    let started = Instant::now();
    let sync = bob.sync(&SyncQuery::since(&since).wait(Duration::from_secs(1))).await?;
    let took = started.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(5)).contains(&took), "{took:?}");
    assert!(joined(&sync, &room).is_null(), "{sync}");
    let started = Instant::now();
    bob.sync(&SyncQuery::since(&since)).await?;
    assert!(started.elapsed() < Duration::from_millis(900), "a timeout of 0 does not wait");
    Ok(())
}

async fn a_burst_is_limited(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    let since = sync_token(&bob).await?;
    let texts = talk(&alice, &room, 0..12).await?;
    let filter = json!({ "room": { "timeline": { "limit": 5 } } });
    let sync = bob.sync(&SyncQuery::since(&since).filter(&filter)).await?;
    let part = joined(&sync, &room);
    assert_eq!(bodies(timeline(&sync, &room)), texts[7..]);
    assert_eq!(part["timeline"]["limited"], true);
    let prev = part["timeline"]["prev_batch"].as_str().expect("prev_batch");
    let path = format!("messages?dir=b&limit=50&from={}&to={}", escape(prev), escape(&since));
    let page = bob.get(&matrixon_testkit::client::room_path(&room, &path)).await?;
    let missed: Vec<&str> = texts[..7].iter().rev().map(String::as_str).collect();
    assert_eq!(bodies(list(&page, "/chunk")), missed);
    Ok(())
}

async fn state_changed_in_a_gap_is_told(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    let since = sync_token(&bob).await?;
    alice.set_state(&room, "m.room.name", "", &json!({ "name": "lost in the gap" })).await?;
    alice.set_state(&room, "m.room.topic", "", &json!({ "topic": "first" })).await?;
    alice.set_state(&room, "m.room.topic", "", &json!({ "topic": "second" })).await?;
    talk(&alice, &room, 0..6).await?;
    let filter = json!({ "room": { "timeline": { "limit": 3 } } });
    let sync = bob.sync(&SyncQuery::since(&since).filter(&filter)).await?;
    let state = list(joined(&sync, &room), "/state/events");
    assert_eq!(state.len(), 2, "the two that changed: {sync}");
    assert_eq!(find_state(state, "m.room.name", "").map(|e| &e["content"]["name"]), Some(&json!("lost in the gap")));
    assert_eq!(find_state(state, "m.room.topic", "").map(|e| &e["content"]["topic"]), Some(&json!("second")));
    Ok(())
}

async fn every_gateway_knows_at_once(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    let mut since = sync_token(&alice).await?;
    for round in 0..20 {
        let event_id = alice.pinned(round).send(&room, "x").await?;
        let sync = alice.pinned(round + 1).sync(&SyncQuery::since(&since)).await?;
        assert_eq!(event_ids(timeline(&sync, &room)), [event_id.as_str()], "one reads one's own writes");
        since = sync["next_batch"].as_str().unwrap_or_default().to_owned();
        let first = bob.pinned(round).sync(&SyncQuery::since(&since)).await?;
        assert!(joined(&first, &room).is_null(), "{first}");
    }
    Ok(())
}

async fn filters_choose_events(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    let since = sync_token(&bob).await?;
    alice.send(&room, "a").await?;
    alice.set_state(&room, "org.example.thing", "", &json!({})).await?;
    bob.send(&room, "b").await?;
    let ask = |filter: Value| {
        let (bob, query, room) = (bob.clone(), SyncQuery::since(&since).filter(&filter), room.clone());
        async move { anyhow::Ok(timeline(&bob.sync(&query).await?, &room).to_vec()) }
    };
    let events = ask(json!({ "room": { "timeline": { "types": ["m.room.message"] } } })).await?;
    assert_eq!(bodies(&events), ["a", "b"]);
    assert_eq!(events.len(), 2);
    let events = ask(json!({ "room": { "timeline": { "not_types": ["m.room.*"] } } })).await?;
    assert_eq!(events.iter().map(|event| &event["type"]).collect::<Vec<_>>(), ["org.example.thing"]);
    let events = ask(json!({ "room": { "timeline": { "senders": [bob.user_id] } } })).await?;
    assert_eq!(bodies(&events), ["b"]);
    let events = ask(json!({ "room": { "timeline": { "not_senders": [bob.user_id] } } })).await?;
    assert_eq!(bodies(&events), ["a"]);
    Ok(())
}

async fn rooms_can_be_chosen(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let (one, two) = (env.room(&alice, &[]).await?, env.room(&alice, &[]).await?);
    let sync = alice.sync(&SyncQuery::default().filter(&json!({ "room": { "rooms": [one] } }))).await?;
    assert!(joined(&sync, &one).is_object() && joined(&sync, &two).is_null(), "{sync}");
    let sync = alice.sync(&SyncQuery::default().filter(&json!({ "room": { "not_rooms": [one] } }))).await?;
    assert!(joined(&sync, &one).is_null() && joined(&sync, &two).is_object(), "{sync}");
    Ok(())
}

async fn stored_filters_work(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let room = env.room(&alice, &[]).await?;
    talk(&alice, &room, 0..5).await?;
    let path = format!("/_matrix/client/v3/user/{}/filter", escape(&alice.user_id));
    let filter = json!({ "room": { "timeline": { "limit": 2, "types": ["m.room.message"] } }, "org.example.x": [1] });
    let id = alice.post(&path, &filter).await?["filter_id"].as_str().expect("filter_id").to_owned();
    assert_eq!(alice.get(&format!("{path}/{id}")).await?["room"], filter["room"]);
    let sync = alice.sync(&SyncQuery::default().filter(&json!(id))).await?;
    assert_eq!(bodies(timeline(&sync, &room)), ["3", "4"]);
    expect_error(&alice.request(Method::GET, &format!("{path}/987654"), None).await?, 404, "M_NOT_FOUND");
    let bob = env.user("bob").await?;
    expect_error(&bob.request(Method::POST, &path, Some(&filter)).await?, 403, "M_FORBIDDEN");
    Ok(())
}

async fn members_load_lazily(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let carol = env.user("carol").await?;
    let room = env.room(&alice, &[&bob, &carol]).await?;
    // a room with a name has no heroes, who would come along
    alice.set_state(&room, "m.room.name", "", &json!({ "name": "Named" })).await?;
    talk(&alice, &room, 0..12).await?;
    bob.send(&room, "hello").await?;
    let filter = json!({ "room": { "state": { "lazy_load_members": true }, "timeline": { "limit": 1 } } });
    let sync = alice.sync(&SyncQuery::default().filter(&filter)).await?;
    let state = list(joined(&sync, &room), "/state/events");
    let members: Vec<&str> = state
        .iter()
        .filter(|event| event["type"] == "m.room.member")
        .filter_map(|event| event["state_key"].as_str())
        .collect();
    assert!(members.contains(&bob.user_id.as_str()), "the sender: {members:?}");
    assert!(!members.contains(&carol.user_id.as_str()), "nobody else: {members:?}");
    assert!(find_state(state, "m.room.create", "").is_some(), "other state is there");
    // carol comes with her first event
    let since = sync["next_batch"].as_str().unwrap_or_default().to_owned();
    carol.send(&room, "me too").await?;
    let sync = alice.sync(&SyncQuery::since(&since).filter(&filter)).await?;
    let state = list(joined(&sync, &room), "/state/events");
    assert!(find_state(state, "m.room.member", &carol.user_id).is_some(), "{sync}");
    Ok(())
}

async fn full_state_is_full(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    let since = sync_token(&bob).await?;
    let sync = bob.sync(&SyncQuery { full_state: true, ..SyncQuery::since(&since) }).await?;
    let state = list(joined(&sync, &room), "/state/events");
    for (kind, key) in [("m.room.create", ""), ("m.room.member", &*alice.user_id), ("m.room.power_levels", "")] {
        assert!(find_state(state, kind, key).is_some(), "{kind} is missing: {sync}");
    }
    Ok(())
}

async fn garbage_is_refused(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    for query in
        ["since=garbage", "since=%00", "since=m1_", "timeout=-1", "timeout=x", "filter=%7B%22room%22", "filter=none"]
    {
        let reply = alice.request(Method::GET, &format!("/_matrix/client/v3/sync?{query}"), None).await?;
        assert!((400..405).contains(&reply.status), "{query}: {} {}", reply.status, reply.text);
        assert!(reply.errcode().starts_with("M_"), "{query}: {}", reply.text);
    }
    Ok(())
}

async fn each_event_comes_once(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    let since = sync_token(&bob).await?;
    let sending = async {
        let mut sent = Vec::new();
        for number in 0..60 {
            sent.push(alice.send(&room, &number.to_string()).await?);
        }
        anyhow::Ok(sent)
    };
    let reading = async {
        let mut seen = Vec::new();
        let filter = json!({ "room": { "timeline": { "limit": 100 } } });
        let mut query = patient(&since).filter(&filter);
        while seen.len() < 60 {
            let sync = bob.sync(&query).await?;
            seen.extend(event_ids(timeline(&sync, &room)).into_iter().map(ToOwned::to_owned));
            query = patient(sync["next_batch"].as_str().unwrap_or_default()).filter(&filter);
        }
        anyhow::Ok(seen)
    };
    let (sent, seen) = tokio::join!(sending, reading);
    assert_eq!(seen?, sent?);
    Ok(())
}
