//! Token buckets in the shared cache, so that a limit holds over all gateways; a local bucket goes before each.
//!
//! What this gateway alone counts is part of what all count, so a local refusal needs no round trip; and while the cache
//! is away the local bucket is all there is.

mod local;
#[cfg(test)]
mod tests;

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use matrixon_cache::Cache;
use matrixon_http::{LimitClass, MatrixError};
use matrixon_runtime::metrics::{IntCounterVec, counter};
use parking_lot::RwLock;

use self::local::LocalBuckets;
use crate::config::{Limit, RateLimits};

/// Clones share the buckets and the limits.
#[derive(Clone)]
pub(crate) struct Limiter(Arc<Inner>);

struct Inner {
    cache: Cache,
    local: LocalBuckets,
    limits: RwLock<Arc<RateLimits>>,
    refused: IntCounterVec,
}

impl Limiter {
    pub(crate) fn new(cache: Cache, limits: RateLimits) -> Self {
        let refused = counter("rate_limited_total", "Requests refused with M_LIMIT_EXCEEDED.", &["class"]);
        for class in LimitClass::ALL {
            refused.with_label_values(&[class.as_str()]);
        }
        Self(Arc::new(Inner { cache, local: LocalBuckets::default(), limits: RwLock::new(Arc::new(limits)), refused }))
    }

    /// Takes effect on the next request; buckets keep their contents.
    pub(crate) fn set_limits(&self, limits: RateLimits) {
        *self.0.limits.write() = Arc::new(limits);
    }

    /// `M_LIMIT_EXCEEDED` ← the bucket of this user (or address) is empty
    pub(crate) async fn check(
        &self,
        class: LimitClass,
        user_id: Option<&str>,
        remote: IpAddr,
    ) -> Result<(), MatrixError> {
        let Some(limit) = self.0.limits.read().of(class) else { return Ok(()) };
        // A login names its user only in its body: guessing from one address is what is limited.
        let user_id = user_id.filter(|_| !matches!(class, LimitClass::Login | LimitClass::Register));
        let key = match user_id {
            Some(user_id) => format!("rl:{}:{user_id}", class.as_str()),
            None => format!("rl:{}:{}", class.as_str(), neighbourhood(remote)),
        };
        let taken = match self.0.local.take(&key, limit) {
            Ok(()) => Box::pin(self.take_shared(&key, limit)).await,
            refused => refused,
        };
        taken.map_err(|retry_after| {
            self.0.refused.with_label_values(&[class.as_str()]).inc();
            MatrixError::limit_exceeded(retry_after.as_millis().max(1) as u64)
        })
    }

    async fn take_shared(&self, key: &str, limit: Limit) -> Result<(), Duration> {
        match self.0.cache.take_token(key, limit.per_second, limit.burst, 1.0).await {
            Ok(bucket) if !bucket.allowed => Err(bucket.retry_after),
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::debug!(%error, "limits are local for the moment");
                Ok(())
            }
        }
    }
}

/// One customer usually has a whole /64.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}
