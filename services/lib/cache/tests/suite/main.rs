//! What a cache promises, checked on both implementations, and what only one of them can suffer.

mod bounds;
mod outage;
mod support;
mod tls;

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use bytes::Bytes;
use matrixon_cache::{Cache, CacheError, Config, TokenBucket};
use support::{Fixture, until};
use tokio::task::JoinSet;

const LONG: Duration = Duration::from_mins(1);
const SHORT: Duration = Duration::from_millis(80);
/// Both clocks count whole milliseconds, so a lifetime may end within the last of them.
const RESOLUTION: Duration = Duration::from_millis(1);

macro_rules! suite {
    ($($name:ident),* $(,)?) => {
        mod local {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::Fixture::local().await).await; })*
        }
        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::Fixture::redis().await).await; })*
        }
        mod redis_over_tls {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::Fixture::redis_over_tls().await).await; })*
        }
    };
}

suite![
    what_is_set_can_be_got_until_deleted,
    values_are_kept_as_they_are,
    lifetimes_end,
    one_of_many_sets_what_was_absent,
    one_of_many_takes,
    increments_add_up_and_keep_their_lifetime,
    hashes_hold_fields,
    hashes_live_and_end_as_a_whole,
    the_wrong_kind_of_value_is_an_error,
    a_bucket_gives_its_burst_and_no_more,
    a_bucket_refills_at_its_rate,
    a_bucket_never_gives_what_it_cannot_hold,
];

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

async fn what_is_set_can_be_got_until_deleted(fixture: Fixture) {
    let (cache, other) = (&fixture.cache, fixture.another().await);
    assert_eq!(cache.get("k").await.unwrap(), None);
    cache.set("k", bytes("one"), LONG).await.unwrap();
    cache.set("k", bytes("two"), LONG).await.unwrap();
    assert_eq!(other.get("k").await.unwrap(), Some(bytes("two")));
    assert_eq!(other.get("K").await.unwrap(), None);
    cache.delete("k").await.unwrap();
    cache.delete("k").await.unwrap();
    assert_eq!(other.get("k").await.unwrap(), None);
}

async fn values_are_kept_as_they_are(fixture: Fixture) {
    let every_byte: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    for (key, value) in [
        ("", bytes("empty key")),
        ("empty", Bytes::new()),
        ("a key\r\n\0ü", bytes("\r\n\0ü")),
        ("large", every_byte.into()),
    ] {
        fixture.cache.set(key, value.clone(), LONG).await.unwrap();
        assert!(fixture.cache.get(key).await.unwrap() == Some(value), "{key:?}");
    }
}

async fn lifetimes_end(fixture: Fixture) {
    let cache = &fixture.cache;
    cache.set("k", bytes("old"), SHORT).await.unwrap();
    cache.set("k", bytes("longer"), LONG).await.unwrap();
    cache.set("zero", bytes("v"), Duration::ZERO).await.unwrap();
    cache.set("ages", bytes("v"), Duration::MAX).await.unwrap();
    let start = Instant::now();
    cache.set("short", bytes("v"), SHORT).await.unwrap();
    until("it ends", async || cache.get("short").await.unwrap().is_none()).await;
    assert!(start.elapsed() + RESOLUTION >= SHORT, "{:?}", start.elapsed());
    until("the least lifetime ends", async || cache.get("zero").await.unwrap().is_none()).await;
    assert_eq!(cache.get("k").await.unwrap(), Some(bytes("longer")), "a new value has a new lifetime");
    assert_eq!(cache.get("ages").await.unwrap(), Some(bytes("v")));
    assert!(cache.set_if_absent("short", bytes("again"), LONG).await.unwrap());
}

/// Runs `operation` in 50 tasks at once, on connections of their own.
async fn at_once<T: Send + 'static, F: Future<Output = Result<T, CacheError>> + Send + 'static>(
    fixture: &Fixture,
    operation: impl Fn(Cache) -> F,
) -> Vec<T> {
    let caches = [fixture.cache.clone(), fixture.another().await];
    let tasks: JoinSet<_> = (0..50).map(|count| operation(caches[count % 2].clone())).collect();
    tasks.join_all().await.into_iter().map(Result::unwrap).collect()
}

async fn one_of_many_sets_what_was_absent(fixture: Fixture) {
    let set = at_once(&fixture, |cache| async move { cache.set_if_absent("k", bytes("v"), LONG).await }).await;
    assert_eq!(set.into_iter().filter(|set| *set).count(), 1);
    assert!(!fixture.cache.set_if_absent("k", bytes("other"), LONG).await.unwrap());
    assert_eq!(fixture.cache.get("k").await.unwrap(), Some(bytes("v")));
}

async fn one_of_many_takes(fixture: Fixture) {
    fixture.cache.set("k", bytes("v"), LONG).await.unwrap();
    let taken = at_once(&fixture, |cache| async move { cache.take("k").await }).await;
    assert_eq!(taken.into_iter().flatten().collect::<Vec<_>>(), [bytes("v")]);
    assert_eq!(fixture.cache.get("k").await.unwrap(), None);
}

async fn increments_add_up_and_keep_their_lifetime(fixture: Fixture) {
    let mut sums = at_once(&fixture, |cache| async move { cache.increment("k", LONG).await }).await;
    sums.sort_unstable();
    assert_eq!(sums, (1..=50).collect::<Vec<_>>());
    assert_eq!(fixture.cache.get("k").await.unwrap(), Some(bytes("50")));

    // Were the lifetime extended, a counter that is incremented all the time would never start again.
    let start = Instant::now();
    let mut last = 0;
    until("the counter starts again", async || {
        let sum = fixture.cache.increment("window", SHORT).await.unwrap();
        let is_again = sum <= last;
        last = sum;
        is_again
    })
    .await;
    assert!(start.elapsed() + RESOLUTION >= SHORT, "{:?}", start.elapsed());
}

async fn hashes_hold_fields(fixture: Fixture) {
    let (cache, other) = (&fixture.cache, fixture.another().await);
    assert!(cache.hash_all("h").await.unwrap().is_empty());
    cache.hash_set("h", "a", bytes("1"), LONG).await.unwrap();
    cache.hash_set("h", "a", bytes("2"), LONG).await.unwrap();
    other.hash_set("h", "b", Bytes::new(), LONG).await.unwrap();
    let expected = HashMap::from([("a".to_owned(), bytes("2")), ("b".to_owned(), Bytes::new())]);
    assert_eq!(cache.hash_all("h").await.unwrap(), expected);
    cache.hash_delete("h", "a").await.unwrap();
    cache.hash_delete("h", "absent").await.unwrap();
    cache.hash_delete("absent", "a").await.unwrap();
    assert_eq!(other.hash_all("h").await.unwrap(), HashMap::from([("b".to_owned(), Bytes::new())]));
    cache.hash_delete("h", "b").await.unwrap();
    assert!(cache.set_if_absent("h", bytes("now free"), LONG).await.unwrap(), "a hash without fields is gone");
}

async fn hashes_live_and_end_as_a_whole(fixture: Fixture) {
    let cache = &fixture.cache;
    cache.hash_set("h", "a", bytes("1"), LONG).await.unwrap();
    cache.hash_set("h", "b", bytes("2"), SHORT).await.unwrap();
    cache.hash_set("kept", "a", bytes("1"), SHORT).await.unwrap();
    cache.hash_set("kept", "b", bytes("2"), LONG).await.unwrap();
    cache.hash_delete("kept", "a").await.unwrap();
    until("the hash ends", async || cache.hash_all("h").await.unwrap().is_empty()).await;
    assert_eq!(cache.hash_all("kept").await.unwrap().len(), 1, "the last set decides");
}

async fn the_wrong_kind_of_value_is_an_error(fixture: Fixture) {
    let cache = &fixture.cache;
    let is_wrong = |result: Result<(), CacheError>| matches!(result, Err(CacheError::WrongType));
    cache.set("text", bytes("no number"), LONG).await.unwrap();
    cache.set("most", bytes("9223372036854775807"), LONG).await.unwrap();
    cache.hash_set("hash", "a", bytes("1"), LONG).await.unwrap();
    assert!(is_wrong(cache.increment("text", LONG).await.map(drop)));
    assert!(is_wrong(cache.increment("hash", LONG).await.map(drop)));
    assert!(is_wrong(cache.get("hash").await.map(drop)));
    assert!(is_wrong(cache.take("hash").await.map(drop)));
    assert!(is_wrong(cache.hash_all("text").await.map(drop)));
    assert!(is_wrong(cache.hash_set("text", "a", bytes("1"), LONG).await));
    assert!(is_wrong(cache.hash_delete("text", "a").await));
    assert!(is_wrong(cache.take_token("text", 1.0, 1.0, 1.0).await.map(drop)));
    assert!(is_wrong(cache.increment("most", LONG).await.map(drop)), "there is no larger number");
    // Nothing was harmed, and `set` may replace any kind.
    assert_eq!(cache.get("text").await.unwrap(), Some(bytes("no number")));
    cache.set("hash", bytes("v"), LONG).await.unwrap();
    assert_eq!(cache.get("hash").await.unwrap(), Some(bytes("v")));
}

async fn a_bucket_gives_its_burst_and_no_more(fixture: Fixture) {
    // So slow that nothing is gained while the test runs.
    let answers = at_once(&fixture, |cache| async move { cache.take_token("k", 0.001, 20.0, 1.0).await }).await;
    assert_eq!(answers.iter().filter(|answer| answer.allowed).count(), 20);
    for answer in answers {
        let expected = if answer.allowed { 0.0..=0.0 } else { 900.0..=1000.0 };
        assert!(expected.contains(&answer.retry_after.as_secs_f64()), "{answer:?}");
    }
    assert!(fixture.cache.take_token("k", 0.001, 20.0, 0.0).await.unwrap().allowed, "nothing costs nothing");
    assert!(fixture.cache.take_token("other", 0.001, 20.0, 20.0).await.unwrap().allowed, "every key has its own");
}

async fn a_bucket_refills_at_its_rate(fixture: Fixture) {
    let cache = &fixture.cache;
    assert!(cache.take_token("k", 20.0, 2.0, 2.0).await.unwrap().allowed);
    let start = Instant::now();
    let refused = cache.take_token("k", 20.0, 2.0, 2.0).await.unwrap();
    assert!(!refused.allowed);
    assert!(refused.retry_after > Duration::ZERO && refused.retry_after <= Duration::from_millis(100), "{refused:?}");
    until("it is refilled", async || cache.take_token("k", 20.0, 2.0, 2.0).await.unwrap().allowed).await;
    assert!(start.elapsed() + Duration::from_millis(20) > refused.retry_after, "{:?}", start.elapsed());
}

async fn a_bucket_never_gives_what_it_cannot_hold(fixture: Fixture) {
    for (rate, burst, cost) in
        [(1.0, 2.0, 3.0), (0.0, 0.0, 1.0), (f64::NAN, f64::NAN, 1.0), (1.0, 2.0, f64::INFINITY), (-1.0, 1.0, 2.0)]
    {
        for _ in 0..2 {
            let TokenBucket { allowed, retry_after } = fixture.cache.take_token("k", rate, burst, cost).await.unwrap();
            assert!(!allowed && retry_after > Duration::ZERO, "{rate} {burst} {cost}: {retry_after:?}");
            assert!(retry_after <= Duration::from_hours(24), "{rate} {burst} {cost}: {retry_after:?}");
        }
        fixture.cache.delete("k").await.unwrap();
    }
}

#[tokio::test]
async fn an_address_that_makes_no_sense_is_an_error() {
    for url in ["", "remote", "nats://127.0.0.1:1", "redis://", "rediss://", "rediss://127.0.0.1:1#insecure"] {
        let config = Config { url: url.to_owned(), ..Config::default() };
        assert!(matches!(Cache::connect(&config).await, Err(CacheError::Url { .. })), "{url}");
    }
}
