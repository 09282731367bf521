//! Redis away at the start, flushed, restarted, hanging.

use std::{
    num::NonZeroU64,
    time::{Duration, Instant},
};

use matrixon_cache::{Cache, CacheError, Config};
use matrixon_runtime::config::Secret;
use matrixon_testkit::{
    process::{Signal, signal},
    servers::Redis,
};
use tokio::task::JoinSet;

use crate::{
    LONG, bytes,
    support::{Fixture, persistently, until},
};

/// What an answer may take at most while Redis is away, with room for a busy machine.
const LIMIT: Duration = Duration::from_millis(350);
/// What "at once" means on a busy machine.
const AT_ONCE: Duration = Duration::from_millis(20);
const RECOVERY: Duration = Duration::from_secs(2);

pub(crate) fn start_again(server: &Redis) {
    let log = server.log();
    persistently(log.parent().expect("a directory"), || server.start_again());
}

/// Asks everything, and expects nothing but a quick no.
async fn assert_unavailable(cache: &Cache, limit: Duration) {
    let is_away = |result: Result<(), CacheError>| result.is_err_and(|error| error.is_unavailable());
    let start = Instant::now();
    assert!(is_away(cache.get("k").await.map(drop)));
    assert!(start.elapsed() < limit, "{:?}", start.elapsed());
    let start = Instant::now();
    assert!(is_away(cache.set("k", bytes("v"), LONG).await));
    assert!(is_away(cache.set_if_absent("k", bytes("v"), LONG).await.map(drop)));
    assert!(is_away(cache.delete("k").await));
    assert!(is_away(cache.take("k").await.map(drop)));
    assert!(is_away(cache.increment("k", LONG).await.map(drop)));
    assert!(is_away(cache.take_token("k", 1.0, 1.0, 1.0).await.map(drop)));
    assert!(is_away(cache.hash_set("k", "f", bytes("v"), LONG).await));
    assert!(is_away(cache.hash_delete("k", "f").await));
    assert!(is_away(cache.hash_all("k").await.map(drop)));
    assert!(start.elapsed() < AT_ONCE, "after the first failure there is no waiting: {:?}", start.elapsed());
}

async fn assert_works(cache: &Cache, round: i64) {
    cache.set("k", bytes("v"), LONG).await.unwrap();
    assert_eq!(cache.take("k").await.unwrap(), Some(bytes("v")));
    assert_eq!(cache.increment("n", LONG).await.unwrap(), round);
    assert!(cache.take_token("b", 0.001, 1.0, 1.0).await.unwrap().allowed, "a bucket that was lost is full again");
    assert!(!cache.take_token("b", 0.001, 1.0, 1.0).await.unwrap().allowed);
    cache.hash_set("h", "f", bytes("v"), LONG).await.unwrap();
    assert_eq!(cache.hash_all("h").await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_loses_values_and_nothing_else() {
    let fixture = Fixture::redis().await;
    assert_works(&fixture.cache, 1).await;
    for command in ["FLUSHALL", "FLUSHALL ASYNC"] {
        fixture.tell(command);
        assert_works(&fixture.cache, 1).await;
    }
    fixture.tell("SCRIPT FLUSH");
    assert!(fixture.cache.take_token("other", 0.001, 1.0, 1.0).await.unwrap().allowed, "the script is loaded again");
    assert!(fixture.cache.is_connected());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_may_be_flushed_all_the_time() {
    // A flood may be too much for a slow machine, which is an outage and not what is tested here.
    let fixture =
        Fixture::redis_with(Config { timeout_ms: NonZeroU64::new(10_000).expect("it is not 0"), ..Config::default() })
            .await;
    let work: JoinSet<_> = (0..8)
        .map(|task| {
            let cache = fixture.cache.clone();
            async move {
                for count in 0..200 {
                    let key = format!("{task} {count}");
                    cache.increment(&key, LONG).await.unwrap();
                    cache.hash_set("h", &key, bytes("v"), LONG).await.unwrap();
                    cache.take_token(&format!("bucket {key}"), 1.0, 5.0, 1.0).await.unwrap();
                    cache.get("k").await.unwrap();
                }
            }
        })
        .collect();
    let done = tokio::spawn(work.join_all());
    while !done.is_finished() {
        fixture.tell("FLUSHALL");
        fixture.tell("SCRIPT FLUSH");
        tokio::task::yield_now().await;
    }
    done.await.expect("nothing failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_may_be_restarted() {
    let fixture = Fixture::redis().await;
    let server = fixture.server();
    for _ in 0..5 {
        assert_works(&fixture.cache, 1).await;
        server.kill().expect("it is killed");
        assert_unavailable(&fixture.cache, LIMIT).await;
        assert!(!fixture.cache.is_connected());
        start_again(&server);
        let start = Instant::now();
        until("the cache is back", async || fixture.cache.get("k").await.is_ok()).await;
        assert!(start.elapsed() < RECOVERY, "{:?}", start.elapsed());
    }
    assert_works(&fixture.cache, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_password_may_change() {
    let fixture = Fixture::redis().await;
    fixture.tell("CONFIG SET requirepass second\r\nCLIENT KILL TYPE normal");
    until("the connection is lost", async || !fixture.cache.is_connected()).await;
    assert_unavailable(&fixture.cache, AT_ONCE).await;
    for url in ["redis://127.0.0.1:9".to_owned(), format!("{}/1", fixture.config.url)] {
        let refused = fixture.cache.set_credentials(&Config { url, ..fixture.config.clone() });
        assert!(matches!(refused, Err(CacheError::OtherServer { .. })), "{refused:?}");
    }
    let config = Config { password: Secret::new("second"), ..fixture.config.clone() };
    fixture.cache.set_credentials(&config).unwrap();
    until("the cache is back", async || fixture.cache.get("k").await.is_ok()).await;
    assert_works(&fixture.cache, 1).await;
}

/// Nobody asked anything while Redis was restarted, and the first who does finds it in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_cache_notices_a_restart_by_itself() {
    let fixture = Fixture::redis().await;
    fixture.server().kill().expect("it is killed");
    until("the loss is noticed", async || !fixture.cache.is_connected()).await;
    start_again(&fixture.server());
    until("the cache is back", async || fixture.cache.get("k").await.is_ok()).await;
    assert_works(&fixture.cache, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_may_come_after_us() {
    let fixture = Fixture::redis().await;
    fixture.server().kill().expect("it is killed");
    let start = Instant::now();
    let cache = fixture.another().await;
    assert!(start.elapsed() < RECOVERY, "an absent cache does not hold up the start");
    assert_unavailable(&cache, AT_ONCE).await;
    start_again(&fixture.server());
    until("the cache is there", async || cache.get("k").await.is_ok()).await;
    assert_works(&cache, 1).await;
}

/// Neither an answer nor an end: the machine of Redis is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_hangs_costs_one_wait_and_then_none() {
    let fixture = Fixture::redis().await;
    let pid = fixture.server().pid().expect("it runs");
    signal(pid, Signal::STOP).expect("it stops");

    // Many at once: all of them wait once, together.
    let start = Instant::now();
    let tasks: JoinSet<_> = (0..200)
        .map(|_| {
            let cache = fixture.cache.clone();
            async move { cache.get("k").await }
        })
        .collect();
    for result in tasks.join_all().await {
        assert!(result.is_err_and(|error| error.is_unavailable()));
    }
    assert!(start.elapsed() < LIMIT, "{:?}", start.elapsed());
    assert_unavailable(&fixture.cache, AT_ONCE).await;

    signal(pid, Signal::CONT).expect("it goes on");
    let start = Instant::now();
    until("the cache is back", async || fixture.cache.get("k").await.is_ok()).await;
    assert!(start.elapsed() < RECOVERY, "{:?}", start.elapsed());
    assert_works(&fixture.cache, 1).await;
}

/// Who would rather wait than do without waits for a connection that broke, and not for a Redis that is away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hiccup_can_be_waited_for() {
    let fixture = Fixture::redis().await;
    fixture.cache.set("k", bytes("v"), LONG).await.unwrap();
    let pid = fixture.server().pid().expect("it runs");
    signal(pid, Signal::STOP).expect("it stops");
    assert!(fixture.cache.get("k").await.is_err_and(|error| error.is_unavailable()));
    signal(pid, Signal::CONT).expect("it goes on");
    fixture.cache.settle().await;
    assert_eq!(fixture.cache.get("k").await.unwrap(), Some(bytes("v")));

    fixture.server().kill().expect("it is killed");
    assert_unavailable(&fixture.cache, LIMIT).await;
    fixture.cache.settle().await;
    let start = Instant::now();
    fixture.cache.settle().await;
    assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
}
