//! NATS away at the start, killed, emptied, hanging.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use matrixon_bus::{Bus, BusError, BusEvent, Config};
use matrixon_runtime::config::Secret;
use matrixon_testkit::{
    process::{Signal, signal},
    servers::Nats,
};

use tokio::task::JoinSet;

use crate::support::{Fixture, dropped, next, number, numbered, persistently, subscribe, until, wait_reset};

/// DESIGN.md allows 10 s after the bus is back.
const RECOVERY: Duration = Duration::from_secs(2);
const SUBJECT: &str = "matrixon.test.v1";

pub(crate) fn start_again(server: &Nats) {
    let log = server.log();
    persistently(log.parent().expect("a directory"), || server.start_again());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_may_come_after_us() {
    let mut fixture = Fixture::nats();
    let server = fixture.server();
    server.kill().expect("it is killed");
    let bus = fixture.bus().await;
    let mut subscription = bus.subscribe(SUBJECT);
    assert!(!bus.is_connected());
    let before = dropped("disconnected");
    bus.publish(SUBJECT, numbered(1, 8));
    assert!(dropped("disconnected") > before);

    start_again(&server);
    let start = Instant::now();
    assert_eq!(next(&mut subscription).await, BusEvent::Reset);
    assert!(start.elapsed() < RECOVERY, "{:?}", start.elapsed());
    bus.publish(SUBJECT, numbered(2, 8));
    assert_eq!(number(&next(&mut subscription).await), Some(2), "and what was published too early is gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_password_may_change() {
    let configuration = |password| format!("authorization {{ user: matrixon, password: {password} }}\n");
    let mut fixture = Fixture::nats_configured(&configuration("first"));
    fixture.config.user = "matrixon".to_owned();
    fixture.config.password = Secret::new("first");
    let bus = fixture.bus().await;
    let mut subscription = subscribe(&bus, SUBJECT).await;
    fixture.configure(&configuration("second"));
    until("the connection is ended", || !bus.is_connected()).await;
    let elsewhere = Config { url: "nats://127.0.0.1:9".to_owned(), ..fixture.config.clone() };
    assert!(matches!(bus.set_credentials(&elsewhere), Err(BusError::OtherServers)));
    // in the URL this time
    let url = fixture.config.url.replace("nats://", "nats://matrixon:second@");
    bus.set_credentials(&Config { url, user: String::new(), ..fixture.config.clone() }).unwrap();
    wait_reset(&mut subscription).await;
    bus.publish(SUBJECT, numbered(1, 8));
    assert_eq!(number(&next(&mut subscription).await), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_outlive_restarts_that_keep_nothing() {
    let mut fixture = Fixture::nats();
    let server = fixture.server();
    let (publisher, subscriber) = (fixture.bus().await, fixture.bus().await);
    let mut old = subscribe(&subscriber, SUBJECT).await;
    for round in 0..5 {
        server.kill().expect("it is killed");
        until("both notice", || !publisher.is_connected() && !subscriber.is_connected()).await;
        let mut made_meanwhile = subscriber.subscribe(SUBJECT);
        let start = Instant::now();
        publisher.publish(SUBJECT, numbered(1_000, 8));
        assert!(start.elapsed() < Duration::from_millis(50), "publishing waited for the network");

        start_again(&server);
        let start = Instant::now();
        wait_reset(&mut old).await;
        wait_reset(&mut made_meanwhile).await;
        assert!(start.elapsed() < RECOVERY, "{:?}", start.elapsed());
        until("the publisher is back", || publisher.is_connected()).await;
        for count in 0..100 {
            publisher.publish(SUBJECT, numbered(count, 8));
        }
        for subscription in [&mut old, &mut made_meanwhile] {
            for expected in 0..100 {
                assert_eq!(number(&next(subscription).await), Some(expected), "round {round}");
            }
        }
    }
}

/// Under load, whatever is missing between two messages is announced by a `Reset` between them, or soon after.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_in_what_one_publisher_sends_is_never_silent() {
    const OUTAGES: usize = 3;
    let mut fixture = Fixture::nats();
    let server = fixture.server();
    let bus = fixture.bus().await;
    let mut subscription = subscribe(&bus, SUBJECT).await;
    let published = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    tasks.spawn(publish_for_ever(bus.clone(), Arc::clone(&published)));
    let outages = tokio::task::spawn_blocking({
        let published = Arc::clone(&published);
        move || {
            for _ in 0..OUTAGES {
                server.kill().expect("it is killed");
                start_again(&server);
            }
            published.load(Ordering::Relaxed)
        }
    });

    let (mut last, mut resets, mut is_excused) = (0, 0, true);
    let end = outages.await.expect("the outages went as planned") + 1_000;
    while last < end {
        match number(&next(&mut subscription).await) {
            None => (resets, is_excused) = (resets + 1, true),
            Some(count) => {
                assert!(count >= last, "{last} then {count}");
                let is_silent = count > last + 1 && !is_excused;
                if is_silent {
                    // A new connection delivers before its mark returns. What is skipped here is excused in turn.
                    wait_reset(&mut subscription).await;
                    resets += 1;
                }
                (last, is_excused) = (count, is_silent);
            }
        }
    }
    assert!((1..=OUTAGES).contains(&resets), "{resets} resets for {OUTAGES} outages");
}

async fn publish_for_ever(bus: Bus, published: Arc<AtomicU64>) {
    let mut pace = tokio::time::interval(Duration::from_micros(500));
    loop {
        pace.tick().await;
        bus.publish(SUBJECT, numbered(published.fetch_add(1, Ordering::Relaxed), 100));
    }
}

/// Neither an answer nor an end: the machine of NATS is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nats_that_hangs_is_noticed_and_nobody_waits_for_it() {
    let mut fixture = Fixture::nats();
    fixture.config.send_buffer_bytes = 1 << 20;
    let server = fixture.server();
    let bus = fixture.bus().await;
    let mut subscription = subscribe(&bus, SUBJECT).await;
    let pid = server.pid().expect("it runs");
    signal(pid, Signal::STOP).expect("it stops");

    let before = dropped("send_buffer");
    let start = Instant::now();
    // 64 MB: more than the sockets and our buffer take.
    (0..1_000).for_each(|count| bus.publish(SUBJECT, numbered(count, 64 << 10)));
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(dropped("send_buffer") > before, "the buffer has an end");
    until("the hang is noticed", || !bus.is_connected()).await;

    signal(pid, Signal::CONT).expect("it goes on");
    let start = Instant::now();
    wait_reset(&mut subscription).await;
    assert!(start.elapsed() < RECOVERY, "{:?}", start.elapsed());
    bus.publish(SUBJECT, numbered(1_000_000, 8));
    while number(&next(&mut subscription).await) != Some(1_000_000) {}
}
