//! Token buckets in this process's memory, bounded in number.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher as _,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::config::Limit;

/// At 48 bytes a bucket: 10 MB.
const MAX_BUCKETS: usize = 200_000;

#[derive(Default)]
pub(super) struct LocalBuckets {
    /// Keyed by a keyed hash: what users choose as names is not stored.
    buckets: Mutex<HashMap<u64, Bucket>>,
    hasher: RandomState,
}

struct Bucket {
    tokens: f64,
    at: Instant,
    limit: Limit,
}

impl Bucket {
    fn tokens_at(&self, now: Instant) -> f64 {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * self.limit.per_second;
        (self.tokens + gained).min(self.limit.burst)
    }
}

impl LocalBuckets {
    /// Fails with the time until there is a token.
    pub(super) fn take(&self, key: &str, limit: Limit) -> Result<(), Duration> {
        let now = Instant::now();
        let hash = self.hasher.hash_one(key);
        let mut buckets = self.buckets.lock();
        if buckets.len() >= MAX_BUCKETS && !buckets.contains_key(&hash) {
            make_room(&mut buckets, now);
        }
        let bucket = buckets.entry(hash).or_insert(Bucket { tokens: limit.burst, at: now, limit });
        bucket.limit = limit;
        bucket.tokens = bucket.tokens_at(now);
        bucket.at = now;
        if bucket.tokens < 1.0 {
            return Err(Duration::from_secs_f64(((1.0 - bucket.tokens) / limit.per_second).min(86_400.0)));
        }
        bucket.tokens -= 1.0;
        Ok(())
    }
}

/// A full bucket is as good as none. If all are in use, every second one is forgotten: limits get laxer, memory does not grow.
fn make_room(buckets: &mut HashMap<u64, Bucket>, now: Instant) {
    buckets.retain(|_, bucket| bucket.tokens_at(now) < bucket.limit.burst);
    if buckets.len() > MAX_BUCKETS / 2 {
        buckets.retain(|hash, _| hash % 2 == 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn buckets_empty_refill_and_are_bounded() {
        let buckets = LocalBuckets::default();
        let limit = Limit { per_second: 2.0, burst: 3.0 };
        assert!((0..3).all(|_| buckets.take("a", limit).is_ok()));
        assert_eq!(buckets.take("a", limit), Err(Duration::from_millis(500)));
        assert!(buckets.take("b", limit).is_ok());
        tokio::time::advance(Duration::from_millis(500)).await;
        assert!(buckets.take("a", limit).is_ok());
        assert!(buckets.take("a", limit).is_err());
        for number in 0..MAX_BUCKETS + 10 {
            let _taken = buckets.take(&number.to_string(), limit);
        }
        assert!(buckets.buckets.lock().len() <= MAX_BUCKETS);
    }
}
