//! Messages to devices: in order, until they are acknowledged, never after, whichever replica is asked.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    Harness,
    harness::{Device, Reply},
    on_both,
    world::user,
};
use crate::Config;

async fn send(harness: &Harness, (replica, from): (usize, &Device), txn_id: &str, messages: Value) -> Reply {
    let path = format!("/_matrix/client/v3/sendToDevice/org.example.test/{txn_id}");
    harness.session(replica, from).put(&path, json!({"messages": messages})).await
}

fn batch(response: &Value) -> String {
    response["next_batch"].as_str().unwrap().to_owned()
}

/// The numbers in the messages of a response.
fn numbers(response: &Value) -> Vec<i64> {
    let events = response["to_device"]["events"].as_array().into_iter().flatten();
    events.map(|event| event["content"]["n"].as_i64().unwrap()).collect()
}

fn config() -> Config {
    Config { heartbeat_ms: 20, ..Config::default() }
}

#[tokio::test]
async fn a_message_is_delivered_until_it_is_acknowledged_and_never_after() {
    on_both(config(), |mut harness| async move {
        let alice = harness.device(&user(0), "A").await;
        let bob = harness.device(&user(1), "B\"\\é").await;
        let deaf = harness.add_deaf_replica().await;
        let first = harness.session(0, &bob).sync(&[]).await;
        assert!(first["to_device"].is_null(), "{first}");
        let before = batch(&first);
        let content = json!({"n": 1, "text": "\u{0} \u{1F600} \"x\"", "list": [1.5, null]});
        send(&harness, (0, &alice), "1", json!({&bob.user_id: {&bob.device_id: content}})).await.ok();
        let mut after = String::new();
        for replica in [0, 1, deaf, 0] {
            let response = harness.session(replica, &bob).sync(&[("since", &before)]).await;
            let event = json!({"type": "org.example.test", "sender": alice.user_id, "content": content});
            assert_eq!(response["to_device"], json!({"events": [event]}), "replica {replica}");
            after = batch(&response);
        }
        assert_eq!(numbers(&harness.session(1, &bob).sync(&[("since", &after)]).await), [0; 0]);
        // an older token after that, at replicas that remember the message; a first sync; a token from before there were any
        for replica in [0, 1, deaf] {
            for since in [before.as_str(), "m1_0_0_0_0"] {
                assert_eq!(numbers(&harness.session(replica, &bob).sync(&[("since", since)]).await), [0; 0]);
            }
            assert_eq!(numbers(&harness.session(replica, &bob).sync(&[]).await), [0; 0]);
        }
        harness.shutdown.stop();
    })
    .await;
}

#[tokio::test]
async fn a_repeated_transaction_does_nothing() {
    on_both(config(), |harness| async move {
        let (alice, other) = (harness.device(&user(0), "A").await, harness.device(&user(0), "A2").await);
        let bob = harness.device(&user(1), "B").await;
        let to_bob = |n: i64| json!({&bob.user_id: {"B": {"n": n}}});
        // at once, at two replicas
        let repeated = [0, 1, 0, 1, 0, 1, 0, 1].map(|replica| send(&harness, (replica, &alice), "same", to_bob(1)));
        for reply in futures_of(repeated).await {
            assert_eq!(reply.ok(), json!({}));
        }
        // another device of the sender, another type: other transactions
        send(&harness, (0, &other), "same", to_bob(2)).await.ok();
        let path = "/_matrix/client/v3/sendToDevice/org.example.other/same";
        harness.session(1, &alice).put(path, json!({"messages": to_bob(3)})).await.ok();
        assert_eq!(numbers(&harness.session(1, &bob).sync(&[]).await), [1, 2, 3]);
        harness.shutdown.stop();
    })
    .await;
}

async fn futures_of<F: Future<Output = Reply>, const N: usize>(all: [F; N]) -> Vec<Reply> {
    let mut pending: Vec<_> = all.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<Reply>> = pending.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, reply) in pending.iter_mut().zip(&mut done).filter(|(_, reply)| reply.is_none()) {
            if let std::task::Poll::Ready(ready) = future.as_mut().poll(context) {
                *reply = Some(ready);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[tokio::test]
async fn a_star_is_every_device_and_strangers_are_passed_over() {
    on_both(config(), |harness| async move {
        let alice = harness.device(&user(0), "A").await;
        let bobs = [harness.device(&user(1), "B1").await, harness.device(&user(1), "B2").await];
        let messages = json!({
            &user(1): {"*": {"n": 1}, "NONE": {"n": 2}, "NU\u{0}L": {"n": 3}, "x".repeat(300): {"n": 4}},
            &user(9): {"*": {"n": 5}},
            "@remote:elsewhere.example": {"*": {"n": 6}},
            &user(0): {"A": {"n": 7}, "*": {"n": 8}},
        });
        send(&harness, (0, &alice), "1", messages).await.ok();
        for bob in &bobs {
            assert_eq!(numbers(&harness.session(1, bob).sync(&[]).await), [1]);
        }
        let mut own = numbers(&harness.session(1, &alice).sync(&[]).await);
        own.sort_unstable();
        assert_eq!(own, [7, 8]);
        // a device that comes later is none of `*`
        let late = harness.device(&user(1), "B3").await;
        assert_eq!(numbers(&harness.session(0, &late).sync(&[]).await), [0; 0]);
        send(&harness, (0, &alice), "2", json!({})).await.ok();
        harness.shutdown.stop();
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_stored_is_refused() {
    let harness = Harness::sqlite(config()).await;
    let alice = harness.device(&user(0), "A").await;
    let to_self = |content: Value| json!({&user(0): {"A": content}});
    send(&harness, (0, &alice), "1", to_self("text".into())).await.refused(400, "M_BAD_JSON");
    send(&harness, (0, &alice), "2", to_self(Value::Null)).await.refused(400, "M_BAD_JSON");
    let huge = json!({"n": 1, "x": "x".repeat(65_536)});
    send(&harness, (0, &alice), "3", to_self(huge)).await.refused(413, "M_TOO_LARGE");
    let many: serde_json::Map<String, Value> = (0..10_001).map(|n| (format!("D{n}"), json!({}))).collect();
    send(&harness, (0, &alice), "4", json!({&user(0): many})).await.refused(413, "M_TOO_LARGE");
    let path = format!("/_matrix/client/v3/sendToDevice/{}/5", "t".repeat(256));
    harness.session(0, &alice).put(&path, json!({"messages": {}})).await.refused(400, "M_INVALID_PARAM");
    assert_eq!(numbers(&harness.session(0, &alice).sync(&[]).await), [0; 0]);
    harness.shutdown.stop();
}

#[tokio::test]
async fn the_inbox_goes_with_its_device() {
    on_both(config(), |harness| async move {
        let alice = harness.device(&user(0), "A").await;
        let bob = harness.device(&user(1), "B").await;
        let since = batch(&harness.session(0, &bob).sync(&[]).await);
        send(&harness, (0, &alice), "1", json!({&user(1): {"B": {"n": 1}}})).await.ok();
        harness.delete(&bob).await;
        let again = harness.device(&user(1), "B").await;
        assert_ne!(again.number, bob.number);
        for replica in 0..2 {
            assert_eq!(numbers(&harness.session(replica, &again).sync(&[]).await), [0; 0]);
            assert_eq!(numbers(&harness.session(replica, &again).sync(&[("since", &since)]).await), [0; 0]);
        }
        send(&harness, (1, &alice), "2", json!({&user(1): {"B": {"n": 2}}})).await.ok();
        assert_eq!(numbers(&harness.session(0, &again).sync(&[("since", &since)]).await), [2]);
        harness.shutdown.stop();
    })
    .await;
}

#[tokio::test]
async fn a_great_many_come_in_pages() {
    on_both(config(), |harness| async move {
        let alice = harness.device(&user(0), "A").await;
        let bob = harness.device(&user(1), "B").await;
        let mut since = batch(&harness.session(0, &bob).sync(&[]).await);
        for n in 0..250 {
            send(&harness, (n % 2, &alice), &n.to_string(), json!({&user(1): {"B": {"n": n}}})).await.ok();
        }
        let big = json!({"n": 250, "x": "x".repeat(60_000)});
        for n in 250..290 {
            let content = json!({"n": n, "x": big["x"]});
            send(&harness, (0, &alice), &n.to_string(), json!({&user(1): {"B": content}})).await.ok();
        }
        let (mut seen, mut pages) = (Vec::new(), 0);
        while seen.len() < 290 {
            let response = harness.session(pages % 2, &bob).sync(&[("since", &since), ("timeout", "5000")]).await;
            let page = numbers(&response);
            assert!(!page.is_empty() && page.len() <= 100, "{} messages", page.len());
            assert!(response.to_string().len() < 1_500_000, "bounded in bytes");
            seen.extend(page);
            since = batch(&response);
            pages += 1;
        }
        assert_eq!(seen, (0..290).collect::<Vec<_>>());
        assert!(pages >= 5, "{pages}");
        harness.shutdown.stop();
    })
    .await;
}

#[tokio::test]
async fn a_message_wakes_its_device_and_no_other() {
    on_both(config(), |mut harness| async move {
        let alice = harness.device(&user(0), "A").await;
        let bobs = [harness.device(&user(1), "B1").await, harness.device(&user(1), "B2").await];
        let deaf = harness.add_deaf_replica().await;
        for (round, replica) in [0, 1, deaf].into_iter().enumerate() {
            let mut waiting = Vec::new();
            for bob in &bobs {
                let client = harness.session(replica, bob);
                let since = batch(&client.sync(&[]).await);
                let since = batch(&client.sync(&[("since", &since)]).await);
                waiting.push(tokio::spawn(async move { client.sync(&[("since", &since), ("timeout", "1500")]).await }));
            }
            let messages = json!({&user(1): {"B1": {"n": round}}});
            send(&harness, (0, &alice), &round.to_string(), messages).await.ok();
            let mut waiting = waiting.into_iter();
            let first = tokio::time::timeout(Duration::from_secs(1), waiting.next().unwrap()).await;
            assert_eq!(numbers(&first.expect("the device is woken").unwrap()), [round as i64]);
            let other = waiting.next().unwrap().await.unwrap();
            assert_eq!(numbers(&other), [0; 0]);
        }
        harness.shutdown.stop();
    })
    .await;
}

#[tokio::test]
async fn counts_of_keys_are_in_every_response() {
    on_both(config(), |mut harness| async move {
        let bob = harness.device(&user(1), "B").await;
        let mut world = harness.world();
        let deaf = harness.add_deaf_replica().await;
        let mut since = batch(&harness.session(0, &bob).sync(&[]).await);
        for (count, fallback) in [(0, false), (7, true), (6, true), (0, false), (3, false)] {
            world.rings = count != 6;
            world.set_keys(bob.number, count, fallback).await;
            for (replica, timeout) in [(0, "0"), (1, "0"), (deaf, "0"), (0, "60"), (deaf, "60")] {
                let query = [("since", since.as_str()), ("timeout", timeout)];
                let response = harness.session(replica, &bob).sync(&query).await;
                assert_eq!(response["device_one_time_keys_count"], json!({"signed_curve25519": count}), "{response}");
                let types = if fallback { json!(["signed_curve25519"]) } else { json!([]) };
                assert_eq!(response["device_unused_fallback_key_types"], types, "{response}");
                since = batch(&response);
            }
            let first = harness.session(deaf, &bob).sync(&[]).await;
            assert_eq!(first["device_one_time_keys_count"]["signed_curve25519"], count);
        }
        harness.shutdown.stop();
    })
    .await;
}

#[tokio::test]
async fn a_request_without_news_asks_sql_for_nothing() {
    on_both(Config { heartbeat_ms: 60_000, ..Config::default() }, |harness| async move {
        let alice = harness.device(&user(0), "A").await;
        let bob = harness.device(&user(1), "B").await;
        let mut world = harness.world();
        let room = world.create_room(&user(1)).await;
        world.member(room, &user(0), &user(0), "join").await;
        let client = harness.session(0, &bob);
        let queries = async |since: &str, timeout: &str| {
            let query = [("since", since), ("timeout", timeout)];
            let reply = client.try_sync(&query).await;
            let queries = reply.queries;
            (batch(&reply.ok()), queries)
        };
        let since = batch(&client.sync(&[]).await);
        assert_eq!(queries(&since, "30").await.1, 0, "idle");
        send(&harness, (0, &alice), "1", json!({&user(1): {"B": {"n": 1}}})).await.ok();
        let (since, delivering) = queries(&since, "10000").await;
        assert_eq!(delivering, 1, "a message");
        let (since, acknowledging) = queries(&since, "30").await;
        assert!((1..=3).contains(&acknowledging), "a transaction that deletes it");
        assert_eq!(queries(&since, "30").await.1, 0, "idle again");
        // somebody else's messages, devices and keys are nobody's business
        send(&harness, (0, &alice), "2", json!({&user(0): {"A": {"n": 2}}})).await.ok();
        world.change_device(&user(2), "").await;
        world.set_keys(alice.number, 3, false).await;
        harness.session(0, &alice).sync(&[]).await;
        let (since, _) = queries(&since, "30").await;
        assert_eq!(queries(&since, "30").await.1, 0, "the others");
        harness.shutdown.stop();
    })
    .await;
}

#[tokio::test]
async fn a_full_inbox_loses_its_oldest_messages() {
    on_both(Config { to_device_inbox_limit: 50, ..config() }, |harness| async move {
        let alice = harness.device(&user(0), "A").await;
        let bob = harness.device(&user(1), "B").await;
        // one message in a hundred has the size looked at
        let all: Value = json!({&user(1): {"B": {"n": 0}}});
        let mut sent = 0;
        let left = loop {
            send(&harness, (0, &alice), &sent.to_string(), all.clone()).await.ok();
            sent += 1;
            let (left,) = matrixon_store::sql!(
                harness.db.read(),
                fetch_one as (i64,),
                "select count(*) from to_device where device = $1",
                bob.number
            )
            .unwrap();
            if left < sent || sent == 5_000 {
                break left;
            }
        };
        assert!(left >= 50 && left < sent, "{left} of {sent}");
        harness.shutdown.stop();
    })
    .await;
}

#[derive(Clone, Debug)]
enum Step {
    Send {
        replica: usize,
        to: usize,
        star: bool,
    },
    Repeat {
        replica: usize,
    },
    /// Comes back with its newest token, or with an older one that it may have saved.
    Sync {
        replica: usize,
        device: usize,
        steps_back: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_usize, 0..2_usize, any::<bool>()).prop_map(|(replica, to, star)| Step::Send { replica, to, star }),
        1 => (0..3_usize).prop_map(|replica| Step::Repeat { replica }),
        4 => (0..3_usize, 0..2_usize, prop_oneof![3 => Just(0_usize), 1 => 1..4_usize])
            .prop_map(|(replica, device, steps_back)| Step::Sync { replica, device, steps_back }),
    ]
}

/// What a device has been sent, and what of it has been acknowledged.
#[derive(Default)]
struct Inbox {
    /// n → given out with the token of that index
    waiting: BTreeMap<i64, Option<usize>>,
    tokens: Vec<String>,
}

async fn run(steps: Vec<Step>) {
    let mut harness = Harness::sqlite(config()).await;
    harness.add_deaf_replica().await;
    let sender = harness.device(&user(0), "A").await;
    let devices = [harness.device(&user(1), "B0").await, harness.device(&user(1), "B1").await];
    let mut inboxes = [Inbox::default(), Inbox::default()];
    let mut sent = 0;
    let mut last = json!({});
    for step in steps {
        match step {
            Step::Send { replica, to, star } => {
                sent += 1;
                let device_id = if star { "*" } else { &devices[to].device_id };
                last = json!({&user(1): {device_id: {"n": sent}}});
                send(&harness, (replica, &sender), &sent.to_string(), last.clone()).await.ok();
                for (number, inbox) in inboxes.iter_mut().enumerate() {
                    if star || number == to {
                        inbox.waiting.insert(sent, None);
                    }
                }
            }
            Step::Repeat { replica } => {
                send(&harness, (replica, &sender), &sent.to_string(), last.clone()).await.ok();
            }
            Step::Sync { replica, device, steps_back } => {
                let inbox = &mut inboxes[device];
                let client = harness.session(replica, &devices[device]);
                let since = inbox.tokens.len().checked_sub(1 + steps_back);
                let response = match since {
                    Some(index) => client.sync(&[("since", &inbox.tokens[index])]).await,
                    None => client.sync(&[]).await,
                };
                // acknowledged: what came with this token or an earlier one
                inbox.waiting.retain(|_, given| given.is_none() || since.is_none() || *given > since);
                let expected: Vec<i64> = inbox.waiting.keys().copied().collect();
                assert_eq!(numbers(&response), expected, "device {device} at replica {replica}");
                // who goes back forgets what came after
                inbox.tokens.truncate(since.map_or(0, |index| index + 1));
                let index = inbox.tokens.len();
                inbox.tokens.push(batch(&response));
                inbox.waiting.values_mut().for_each(|given| *given = Some(index));
            }
        }
    }
    harness.shutdown.stop();
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(24),
        max_shrink_iters: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn in_order_until_acknowledged(steps in prop::collection::vec(step(), 1..40)) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run(steps));
    }
}
