//! Requests that wait: none is forgotten, whoever writes, and all are answered when the process drains.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::{Harness, harness::Client, on_both, world::user};
use crate::{Config, poll, state::Shared, streams::Ask};

fn batch(response: &Value) -> String {
    response["next_batch"].as_str().unwrap().to_owned()
}

/// Polls until it has seen that many messages; each once.
async fn read(client: Client, mut since: String, expected: usize) -> Vec<String> {
    let mut seen = Vec::new();
    while seen.len() < expected {
        let filter = r#"{"room":{"timeline":{"limit":100}}}"#;
        let response = client.sync(&[("since", &since), ("timeout", "30000"), ("filter", filter)]).await;
        let rooms = response["rooms"]["join"].as_object().into_iter().flatten();
        for event in rooms.flat_map(|(_, room)| room["timeline"]["events"].as_array().unwrap()) {
            seen.push(event["event_id"].as_str().unwrap().to_owned());
        }
        since = batch(&response);
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_wakes_every_reader_once_even_when_half_of_the_bells_are_lost() {
    const READERS: usize = 12;
    const MESSAGES: usize = 90;
    on_both(Config { heartbeat_ms: 50, ..Config::default() }, async |harness: Harness| {
        let mut world = harness.world();
        let room = world.create_room(&user(0)).await;
        for number in 1..=READERS {
            world.member(room, &user(number), &user(number), "join").await;
        }
        let mut readers = Vec::new();
        for number in 1..=READERS {
            let client = harness.client(number % 2, &user(number));
            let since = batch(&client.sync(&[]).await);
            readers.push(tokio::spawn(read(client, since, MESSAGES)));
        }
        let mut sent = Vec::new();
        for n in 0..MESSAGES {
            world.rings = n % 2 == 0;
            sent.push(world.message(room, &user(0), "x").await);
            if n % 10 == 0 {
                tokio::task::yield_now().await;
            }
        }
        for reader in readers {
            let seen = timeout(Duration::from_secs(20), reader).await.expect("nobody waits for ever").unwrap();
            assert_eq!(seen, sent);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bell_wakes_only_those_whom_it_concerns() {
    let harness = Harness::sqlite(Config::default()).await;
    let mut world = harness.world();
    for number in 0..2 {
        world.create_room(&user(number)).await;
    }
    let client = harness.client(0, &user(1));
    let since = batch(&client.sync(&[]).await);
    let waiting = tokio::spawn({
        let (client, since) = (client.clone(), since.clone());
        async move { client.sync(&[("since", &since), ("timeout", "30000")]).await }
    });
    let other = harness.client(0, &user(0));
    let others = batch(&other.sync(&[]).await);
    for _ in 0..20 {
        world.message(0, &user(0), "x").await;
    }
    other.sync(&[("since", &others), ("timeout", "30000")]).await;
    assert!(!waiting.is_finished());
    let wanted = world.message(1, &user(1), "y").await;
    let response = timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap();
    let rooms = response["rooms"]["join"].as_object().unwrap();
    assert_eq!(rooms.keys().collect::<Vec<_>>(), ["!r1:example.org"]);
    assert_eq!(rooms["!r1:example.org"]["timeline"]["events"][0]["event_id"], wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_answers_parked_requests_at_once_with_the_same_token() {
    let harness = Harness::sqlite(Config::default()).await;
    let mut world = harness.world();
    world.create_room(&user(0)).await;
    let client = harness.client(0, &user(0));
    let since = batch(&client.sync(&[]).await);
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let (client, since) = (client.clone(), since.clone());
            tokio::spawn(async move { client.sync(&[("since", &since), ("timeout", "60000")]).await })
        })
        .collect();
    let begun = Instant::now();
    harness.shutdown.begin_drain();
    for waiting in waiting {
        assert_eq!(batch(&waiting.await.unwrap()), since);
    }
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_replica_acknowledged_another_one_shows_at_once() {
    let harness = Harness::postgres(Config { heartbeat_ms: 60_000, ..Config::default() }).await;
    let mut world = harness.world();
    world.rings = false;
    world.create_room(&user(0)).await;
    let mut seen = BTreeSet::new();
    let mut since = batch(&harness.client(0, &user(0)).sync(&[]).await);
    for n in 0..20 {
        let sent = world.message(0, &user(0), "x").await;
        let response = harness.client(n % 2, &user(0)).sync(&[("since", &since)]).await;
        let events = &response["rooms"]["join"]["!r0:example.org"]["timeline"]["events"];
        assert_eq!(events[0]["event_id"], sent);
        assert!(seen.insert(sent));
        since = batch(&response);
    }
}

#[test]
fn a_request_that_waits_is_small() {
    fn size<'a, F: Future>(_: impl Fn(&'a Shared, Ask, Duration) -> F) -> usize {
        size_of::<F>()
    }
    assert!(size(poll::sync) < 1_500, "{} bytes", size(poll::sync));
}
