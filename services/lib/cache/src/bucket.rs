//! Token buckets: the arithmetic of `take_token.lua`, for the cache in memory.

use std::time::Duration;

/// The longest time named to a caller or kept for a bucket that hardly refills.
const MAX_SECONDS: f64 = 86_400.0;

/// The answer to an attempt to take tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenBucket {
    pub allowed: bool,
    /// When the tokens would have been there; zero when allowed.
    pub retry_after: Duration,
}

/// What is asked of a bucket, with numbers that make sense.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) rate: f64,
    pub(crate) burst: f64,
    pub(crate) cost: f64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    tokens: f64,
    at_ms: i64,
}

impl Request {
    pub(crate) fn new(rate: f64, burst: f64, cost: f64) -> Self {
        // `max` also turns NaN into 0; the smallest rate keeps divisions finite.
        Self { rate: rate.max(1e-6), burst: burst.max(0.0), cost: cost.max(0.0) }
    }

    /// How long a bucket matters: until it is full again.
    pub(crate) fn lifetime(&self) -> Duration {
        Duration::from_secs_f64((self.burst / self.rate + 1.0).min(MAX_SECONDS))
    }

    /// The bucket after the attempt, and the answer.
    pub(crate) fn take(&self, bucket: Option<Bucket>, now_ms: i64) -> (Bucket, TokenBucket) {
        let before = bucket.unwrap_or(Bucket { tokens: self.burst, at_ms: now_ms });
        let elapsed = (now_ms - before.at_ms).max(0) as f64 / 1000.0;
        let tokens = (before.tokens + elapsed * self.rate).min(self.burst);
        if tokens >= self.cost {
            let bucket = Bucket { tokens: tokens - self.cost, at_ms: now_ms };
            (bucket, TokenBucket { allowed: true, retry_after: Duration::ZERO })
        } else {
            let seconds = ((self.cost - tokens) / self.rate).min(MAX_SECONDS);
            let retry_after = Duration::from_millis((seconds * 1000.0).ceil() as u64);
            (Bucket { tokens, at_ms: now_ms }, TokenBucket { allowed: false, retry_after })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_numbers_neither_panic_nor_let_anything_through() {
        for (rate, burst, cost) in [
            (0.0, 0.0, 1.0),
            (-1.0, 5.0, 6.0),
            (f64::NAN, f64::NAN, 1.0),
            (1.0, 5.0, f64::INFINITY),
            (f64::MIN_POSITIVE, f64::MAX, f64::INFINITY),
        ] {
            let request = Request::new(rate, burst, cost);
            let (_, answer) = request.take(None, 0);
            assert!(!answer.allowed, "{rate} {burst} {cost}");
            assert!(answer.retry_after > Duration::ZERO && answer.retry_after.as_secs_f64() <= MAX_SECONDS);
            assert!(request.lifetime().as_secs_f64() <= MAX_SECONDS);
        }
    }

    #[test]
    fn a_bucket_refills_up_to_its_burst() {
        let request = Request::new(2.0, 3.0, 3.0);
        let (empty, answer) = request.take(None, 0);
        assert!(answer.allowed);
        let (half, answer) = request.take(Some(empty), 500);
        assert_eq!(answer, TokenBucket { allowed: false, retry_after: Duration::from_secs(1) });
        let (empty, answer) = request.take(Some(half), 3_600_000);
        assert!(answer.allowed);
        assert!(!request.take(Some(empty), 3_600_001).1.allowed, "no more than the burst was gained");
    }
}
