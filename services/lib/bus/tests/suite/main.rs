//! What a bus promises, checked on both implementations, and what only NATS can suffer.

mod outage;
mod support;
mod tls;

use std::time::{Duration, Instant};

use bytes::Bytes;
use matrixon_bus::{Bus, BusError, BusEvent, Config};
use support::{Fixture, dropped, next, number, numbered, subscribe, until};

macro_rules! suite {
    ($($name:ident),* $(,)?) => {
        mod local {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::Fixture::local()).await; })*
        }
        mod nats {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::Fixture::nats()).await; })*
        }
    };
}

suite![
    every_subscription_gets_every_message_in_order,
    what_is_published_after_the_first_reset_arrives,
    subjects_and_wildcards_select,
    a_slow_consumer_is_told_and_the_others_are_not_disturbed,
    publishing_never_waits,
    a_cancelled_wait_loses_nothing,
    a_dropped_subscription_is_gone,
    payloads_arrive_as_they_were,
    delivery_takes_well_under_a_millisecond,
];

async fn every_subscription_gets_every_message_in_order(mut fixture: Fixture) {
    const MESSAGES: u64 = 5_000;
    let (here, there) = (fixture.bus().await, fixture.bus().await);
    let mut subscriptions = vec![
        subscribe(&here, "matrixon.test.v1").await,
        subscribe(&here, "matrixon.test.v1").await,
        subscribe(&there, "matrixon.test.v1").await,
    ];
    (0..MESSAGES).for_each(|count| here.publish("matrixon.test.v1", numbered(count, 200)));
    for subscription in &mut subscriptions {
        for expected in 0..MESSAGES {
            assert_eq!(number(&next(subscription).await), Some(expected));
        }
    }
}

/// `Reset` means that nothing is missed from here on: a subscription that says so too early would fail here.
async fn what_is_published_after_the_first_reset_arrives(mut fixture: Fixture) {
    let (publisher, subscriber) = (fixture.bus().await, fixture.bus().await);
    for round in 0..300 {
        let mut subscription = subscribe(&subscriber, "matrixon.test.v1").await;
        publisher.publish("matrixon.test.v1", numbered(round, 8));
        assert_eq!(number(&next(&mut subscription).await), Some(round));
    }
}

async fn subjects_and_wildcards_select(mut fixture: Fixture) {
    let bus = fixture.bus().await;
    let mut one = subscribe(&bus, "a.b").await;
    let mut token = subscribe(&bus, "a.*").await;
    let mut rest = subscribe(&bus, "a.>").await;
    for (count, subject) in ["a.b", "a.c", "a.b.c", "b", "a", "a.b"].into_iter().enumerate() {
        bus.publish(subject, numbered(count as u64, 8));
    }
    for (subscription, expected) in [
        (&mut one, vec![("a.b", 0), ("a.b", 5)]),
        (&mut token, vec![("a.b", 0), ("a.c", 1), ("a.b", 5)]),
        (&mut rest, vec![("a.b", 0), ("a.c", 1), ("a.b.c", 2), ("a.b", 5)]),
    ] {
        for (wanted, count) in expected {
            let BusEvent::Message { subject, payload } = next(subscription).await else { panic!("a reset") };
            assert_eq!((&*subject, payload), (wanted, numbered(count, 8)));
        }
    }
}

async fn a_slow_consumer_is_told_and_the_others_are_not_disturbed(mut fixture: Fixture) {
    const MESSAGES: u64 = 2_000;
    fixture.config.receive_buffer_bytes = 256 << 10;
    let bus = fixture.bus().await;
    let mut slow = subscribe(&bus, "matrixon.test.v1").await;
    let mut fast = subscribe(&bus, "matrixon.test.v1").await;
    let before = dropped("slow_consumer");
    for count in 0..MESSAGES {
        bus.publish("matrixon.test.v1", numbered(count, 1024));
        assert_eq!(number(&next(&mut fast).await), Some(count));
    }
    bus.publish("matrixon.test.v1", numbered(MESSAGES, 1024));

    let (mut last, mut resets, mut after_reset) = (None, 0, false);
    while last != Some(MESSAGES) {
        match number(&next(&mut slow).await) {
            None => (resets, after_reset) = (resets + 1, true),
            Some(count) => {
                let contiguous = count == last.map_or(0, |last| last + 1);
                assert!(contiguous || after_reset, "{last:?} then {count} without a reset");
                (last, after_reset) = (Some(count), false);
            }
        }
    }
    assert_eq!(resets, 1, "what was before a reset is gone, and so are earlier resets");
    assert!(dropped("slow_consumer") > before + MESSAGES / 2);
}

async fn publishing_never_waits(mut fixture: Fixture) {
    fixture.config.send_buffer_bytes = 64 << 10;
    fixture.config.receive_buffer_bytes = 64 << 10;
    let bus = fixture.bus().await;
    let mut subscription = subscribe(&bus, "matrixon.test.v1").await;
    let payload = Bytes::from(vec![0; 16 << 10]);
    let start = Instant::now();
    let slowest = (0..20_000)
        .map(|_| {
            let start = Instant::now();
            bus.publish("matrixon.test.v1", payload.clone());
            start.elapsed()
        })
        .max();
    // 320 MB: were any of it waited for, it would take longer than this even on a busy machine.
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}, slowest {slowest:?}", start.elapsed());
    // And the bus still works.
    let end = Instant::now() + support::PATIENCE;
    loop {
        bus.publish("matrixon.test.v1", numbered(7, 9));
        let event = tokio::time::timeout(Duration::from_millis(50), subscription.next()).await;
        if matches!(event, Ok(BusEvent::Message { payload, .. }) if payload.len() == 9) {
            break;
        }
        assert!(Instant::now() < end, "nothing arrives any more");
    }
}

async fn a_cancelled_wait_loses_nothing(mut fixture: Fixture) {
    let bus = fixture.bus().await;
    let mut subscription = subscribe(&bus, "matrixon.test.v1").await;
    let publisher = tokio::spawn(async move {
        for count in 0..2_000 {
            bus.publish("matrixon.test.v1", numbered(count, 8));
            tokio::task::yield_now().await;
        }
        bus
    });
    for expected in 0..2_000 {
        let event = loop {
            // Polled once and dropped, most of the time.
            if let Ok(event) = tokio::time::timeout(Duration::ZERO, subscription.next()).await {
                break event;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(number(&event), Some(expected));
    }
    publisher.await.expect("the publisher ends well");
}

async fn a_dropped_subscription_is_gone(mut fixture: Fixture) {
    let bus = fixture.bus().await;
    for _ in 0..50 {
        drop(bus.subscribe("matrixon.test.v1"));
    }
    drop(subscribe(&bus, "matrixon.test.v1").await);
    let mut kept = subscribe(&bus, "matrixon.test.v1").await;
    bus.publish("matrixon.test.v1", numbered(1, 8));
    assert_eq!(number(&next(&mut kept).await), Some(1));
    // A subscription keeps working when its bus is let go.
    let other = fixture.bus().await;
    drop(bus);
    other.publish("matrixon.test.v1", numbered(2, 8));
    assert_eq!(number(&next(&mut kept).await), Some(2));
}

async fn payloads_arrive_as_they_were(mut fixture: Fixture) {
    let bus = fixture.bus().await;
    let mut subscription = subscribe(&bus, "matrixon.test.v1").await;
    let every_byte: Vec<u8> = (0..=255).cycle().take(900_000).collect();
    for sent in [Bytes::new(), Bytes::from_static(b"\r\nPUB x 0\r\n\r\n\0"), every_byte.into()] {
        bus.publish("matrixon.test.v1", sent.clone());
        let BusEvent::Message { payload, .. } = next(&mut subscription).await else { panic!("a reset") };
        assert!(payload == sent, "{} bytes", sent.len());
    }
}

async fn delivery_takes_well_under_a_millisecond(mut fixture: Fixture) {
    const MESSAGES: u64 = 1_000;
    let (publisher, subscriber) = (fixture.bus().await, fixture.bus().await);
    let mut subscription = subscribe(&subscriber, "matrixon.test.v1").await;
    let mut taken = Vec::new();
    for count in 0..MESSAGES {
        let start = Instant::now();
        publisher.publish("matrixon.test.v1", numbered(count, 300));
        next(&mut subscription).await;
        taken.push(start.elapsed());
    }
    taken.sort_unstable();
    let (median, p99) = (taken[taken.len() / 2], taken[taken.len() * 99 / 100]);
    println!("publish to delivery on {}: p50 {median:?}, p99 {p99:?}", fixture.config.url);
    assert!(median < Duration::from_millis(1), "{median:?}");
}

#[tokio::test]
async fn an_address_that_makes_no_sense_is_an_error() {
    for url in ["", "remote", "redis://127.0.0.1:1", "nats://", "tls://", "nats://127.0.0.1:1,http://127.0.0.1:1"] {
        let config = Config { url: url.to_owned(), ..Config::default() };
        assert!(matches!(Bus::connect(&config).await, Err(BusError::Url { .. })), "{url}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nats_would_refuse_is_dropped_and_counted() {
    let mut fixture = Fixture::nats();
    let bus = fixture.bus().await;
    let mut subscription = subscribe(&bus, "matrixon.test.v1").await;
    let before = dropped("refused");
    bus.publish("matrixon.test.v1", Bytes::from(vec![0; 2 << 20]));
    bus.publish("not a subject", Bytes::new());
    bus.publish("matrixon.test.v1", numbered(1, 8));
    assert_eq!(number(&next(&mut subscription).await), Some(1));
    until("both are counted", || dropped("refused") >= before + 2).await;
}
