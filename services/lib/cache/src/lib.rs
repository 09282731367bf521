//! Scratch paper shared by all processes: rate-limit buckets, token look-ups, typing. It may be flushed at any moment,
//! and it may be away: then every call fails at once with [`CacheError::Unavailable`], and callers do without.
#![forbid(unsafe_code)]

mod bucket;
mod config;
mod local;
mod metrics;
mod redis;

use std::{collections::HashMap, sync::Arc, time::Duration};

pub use bucket::TokenBucket;
use bytes::Bytes;
pub use config::Config;
use matrixon_runtime::{clock::Clock, config::BadAuthorities};

#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    #[error("`cache.url` must be `local`, `redis://HOST:PORT` or `rediss://HOST:PORT`, not `{url}`")]
    Url { url: String },
    #[error("`cache.ca_certificate` is set, and `cache.url` is `{url}`, without TLS; write it as rediss://HOST:PORT")]
    NoTls { url: String },
    #[error("`cache.url` names another Redis than `{url}`, which a restart is needed for")]
    OtherServer { url: String },
    #[error(transparent)]
    Authorities(#[from] BadAuthorities),
    #[error(
        "the certificate of `cache.url`, {url}, is not trusted: {reason}; give the authority that signed it in \
         `cache.ca_certificate`, and in the URL a name that it is for"
    )]
    Untrusted { url: String, reason: String },
    /// Away, or no answer in time. Go on without the cache.
    #[error("the cache is unavailable")]
    Unavailable,
    /// The key holds another kind of value, or no number where one was expected.
    #[error("the cached value is of another type")]
    WrongType,
    #[error("the cache refused the request: {0}")]
    Refused(String),
}

impl CacheError {
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable)
    }
}

/// One cache: Redis shared by processes, or memory of this one, bounded in bytes. Clones share it.
#[derive(Clone, Debug)]
pub struct Cache(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Local(Arc<local::LocalCache>),
    Redis(Arc<redis::RedisCache>),
}

macro_rules! dispatch {
    ($self:ident, $method:ident($($argument:expr),*)) => {
        match &$self.0 {
            Kind::Local(cache) => metrics::LOCAL.count(cache.$method($($argument),*)),
            Kind::Redis(cache) => metrics::REDIS.count(cache.$method($($argument),*).await),
        }
    };
}

#[expect(clippy::missing_errors_doc, reason = "every operation fails alike: see `CacheError`")]
impl Cache {
    /// Fails only when the configuration makes no sense, which a certificate that is not trusted shows too: when Redis is
    /// away, the cache is unavailable until it comes back.
    pub async fn connect(config: &Config) -> Result<Self, CacheError> {
        if config.url == "local" {
            return Ok(Self::local(config, Clock::system()));
        }
        redis::RedisCache::connect(config).await.map(|cache| Self(Kind::Redis(Arc::new(cache))))
    }

    /// From now on connections are made as `config` says, with another password say; the one there is lives on.
    pub fn set_credentials(&self, config: &Config) -> Result<(), CacheError> {
        match &self.0 {
            Kind::Local(_) => Ok(()),
            Kind::Redis(cache) => cache.set_credentials(config),
        }
    }

    /// A cache in memory whose lifetimes and buckets follow `clock`.
    pub fn local(config: &Config, clock: Clock) -> Self {
        Self(Kind::Local(Arc::new(local::LocalCache::new(config.local_max_bytes, clock))))
    }

    /// Only for show: readiness must not depend on it.
    pub fn is_connected(&self) -> bool {
        match &self.0 {
            Kind::Local(_) => true,
            Kind::Redis(cache) => cache.is_connected(),
        }
    }

    /// After [`CacheError::Unavailable`], for those who would rather wait a second than do without: returns once there
    /// is a connection again, at once when there has been none for longer.
    pub async fn settle(&self) {
        if let Kind::Redis(cache) = &self.0 {
            cache.settle().await;
        }
    }

    pub async fn get(&self, key: &str) -> Result<Option<Bytes>, CacheError> {
        dispatch!(self, get(key))
    }

    /// Replaces whatever the key held. Lifetimes have a resolution of 1 ms and are at least that.
    pub async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), CacheError> {
        dispatch!(self, set(key, value, ttl))
    }

    /// Whether it was absent, and so was set. Atomic.
    pub async fn set_if_absent(&self, key: &str, value: Bytes, ttl: Duration) -> Result<bool, CacheError> {
        dispatch!(self, set_if_absent(key, value, ttl))
    }

    /// Deletes a key of any kind.
    pub async fn delete(&self, key: &str) -> Result<(), CacheError> {
        dispatch!(self, delete(key))
    }

    /// Gets and deletes: of several that take at once, one gets it.
    pub async fn take(&self, key: &str) -> Result<Option<Bytes>, CacheError> {
        dispatch!(self, take(key))
    }

    /// Adds one and returns the sum. The lifetime starts with the first increment and is not extended by later ones.
    pub async fn increment(&self, key: &str, ttl: Duration) -> Result<i64, CacheError> {
        dispatch!(self, increment(key, ttl))
    }

    /// Takes `cost` tokens from a bucket that holds at most `burst` and gains `rate_per_second`; a new one is full.
    /// Nothing is taken unless all are there.
    pub async fn take_token(
        &self,
        key: &str,
        rate_per_second: f64,
        burst: f64,
        cost: f64,
    ) -> Result<TokenBucket, CacheError> {
        dispatch!(self, take_token(key, bucket::Request::new(rate_per_second, burst, cost)))
    }

    /// Sets one field; the whole hash then lives for `ttl`.
    pub async fn hash_set(&self, key: &str, field: &str, value: Bytes, ttl: Duration) -> Result<(), CacheError> {
        dispatch!(self, hash_set(key, field, value, ttl))
    }

    /// Deletes one field. The lifetime of the others stays; a hash without fields is gone.
    pub async fn hash_delete(&self, key: &str, field: &str) -> Result<(), CacheError> {
        dispatch!(self, hash_delete(key, field))
    }

    /// All fields; none for an absent key.
    pub async fn hash_all(&self, key: &str) -> Result<HashMap<String, Bytes>, CacheError> {
        dispatch!(self, hash_all(key))
    }
}
