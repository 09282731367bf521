//! The cache in memory: how much it holds, and by which clock it lives.

use std::time::Duration;

use bytes::Bytes;
use matrixon_cache::{Cache, Config};
use matrixon_runtime::clock::Clock;

use crate::{LONG, bytes};

#[tokio::test]
async fn a_local_cache_holds_no_more_than_it_may() {
    let config = Config { local_max_bytes: 1 << 20, ..Config::default() };
    let cache = Cache::local(&config, Clock::system());
    cache.set("in use", bytes("v"), LONG).await.unwrap();
    let value = Bytes::from(vec![0; 8 << 10]);
    for count in 0..1_000 {
        cache.set(&format!("key {count}"), value.clone(), LONG).await.unwrap();
        assert!(cache.get("in use").await.unwrap().is_some(), "the least recently used goes first");
    }
    let mut held = 0;
    for count in 0..1_000 {
        held += usize::from(cache.get(&format!("key {count}")).await.unwrap().is_some());
    }
    assert!((64..=128).contains(&held), "{held} of at most 128 that fit");

    cache.set("too large", Bytes::from(vec![0; 2 << 20]), LONG).await.unwrap();
    assert_eq!(cache.get("too large").await.unwrap(), None);
    assert!(cache.get("in use").await.unwrap().is_some());
}

#[tokio::test]
async fn a_hash_and_a_bucket_are_bounded_too() {
    let config = Config { local_max_bytes: 1 << 20, ..Config::default() };
    let cache = Cache::local(&config, Clock::system());
    for count in 0..20_000 {
        cache.take_token(&format!("bucket {count}"), 1.0, 5.0, 1.0).await.unwrap();
    }
    let mut kept = 0;
    for count in 0..20_000 {
        // One that was evicted is full again.
        kept += usize::from(!cache.take_token(&format!("bucket {count}"), 1.0, 5.0, 5.0).await.unwrap().allowed);
    }
    assert!(kept < 10_000, "{kept} buckets in 1 MiB");

    let mut largest = 0;
    for count in 0..2_000 {
        cache.hash_set("h", &count.to_string(), Bytes::from(vec![0; 1 << 10]), LONG).await.unwrap();
        largest = largest.max(cache.hash_all("h").await.unwrap().len());
    }
    assert!((500..=1_024).contains(&largest), "{largest} fields of 1 KiB in 1 MiB");
}

#[tokio::test]
async fn lifetimes_and_buckets_follow_the_given_clock() {
    let clock = Clock::manual(1_000_000);
    let cache = Cache::local(&Config::default(), clock.clone());
    cache.set("k", bytes("v"), LONG).await.unwrap();
    assert_eq!(cache.increment("n", LONG).await.unwrap(), 1);
    assert!(cache.take_token("b", 1.0, 3.0, 3.0).await.unwrap().allowed);

    clock.advance(Duration::from_millis(59_999));
    assert!(cache.get("k").await.unwrap().is_some());
    assert_eq!(cache.increment("n", LONG).await.unwrap(), 2);
    assert!(cache.take_token("b", 0.001, 3.0, 3.0).await.unwrap().allowed);
    assert_eq!(cache.take_token("b", 2.0, 3.0, 1.0).await.unwrap().retry_after, Duration::from_millis(500));

    clock.advance(Duration::from_millis(1));
    assert!(cache.get("k").await.unwrap().is_none());
    assert_eq!(cache.increment("n", LONG).await.unwrap(), 1);
    clock.advance(Duration::from_millis(499));
    assert!(cache.take_token("b", 2.0, 3.0, 1.0).await.unwrap().allowed);
}
