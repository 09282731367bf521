//! The cache in memory: bounded in bytes, the least recently used goes first.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use matrixon_runtime::clock::Clock;
use moka::{Expiry, ops::compute::Op, policy::EvictionPolicy, sync};

use crate::{
    CacheError, TokenBucket,
    bucket::{Bucket, Request},
};

/// What an entry costs beside its key and value: its nodes in moka.
const ENTRY_OVERHEAD: usize = 256;
/// What a field of a hash costs beside its name and value.
const FIELD_OVERHEAD: usize = 96;
/// moka evicts in the background of later calls; after an insertion of this size it does so at once.
const LARGE: usize = 4 << 10;

#[derive(Debug)]
pub(crate) struct LocalCache {
    entries: sync::Cache<Arc<str>, Entry>,
    clock: Clock,
}

#[derive(Clone, Debug)]
struct Entry {
    value: Value,
    /// By our clock. moka's own expiry only frees the memory.
    expires_ms: i64,
    lifetime: Duration,
}

#[derive(Clone, Debug)]
enum Value {
    Bytes(Bytes),
    Hash(Arc<HashMap<String, Bytes>>),
    Bucket(Bucket),
}

impl Value {
    fn cost(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Hash(fields) => fields.iter().map(|(field, value)| field.len() + value.len() + FIELD_OVERHEAD).sum(),
            Self::Bucket(_) => 0,
        }
    }

    fn into_bytes(self) -> Result<Bytes, CacheError> {
        if let Self::Bytes(bytes) = self { Ok(bytes) } else { Err(CacheError::WrongType) }
    }

    fn into_hash(self) -> Result<Arc<HashMap<String, Bytes>>, CacheError> {
        if let Self::Hash(fields) = self { Ok(fields) } else { Err(CacheError::WrongType) }
    }
}

struct ByLifetime;

impl Expiry<Arc<str>, Entry> for ByLifetime {
    fn expire_after_create(&self, _key: &Arc<str>, entry: &Entry, _now: Instant) -> Option<Duration> {
        Some(entry.lifetime)
    }

    fn expire_after_update(&self, _: &Arc<str>, entry: &Entry, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(entry.lifetime)
    }
}

/// What to do with an entry after having looked at it.
enum Change {
    Nothing,
    Remove,
    Put(Value, Ttl),
}

enum Ttl {
    New(Duration),
    /// Of the entry that is there.
    Kept,
}

impl LocalCache {
    pub(crate) fn new(max_bytes: u64, clock: Clock) -> Self {
        let entries = sync::Cache::builder()
            .max_capacity(max_bytes)
            .weigher(|key: &Arc<str>, entry: &Entry| {
                u32::try_from(key.len() + entry.value.cost() + ENTRY_OVERHEAD).unwrap_or(u32::MAX)
            })
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(ByLifetime)
            .build();
        Self { entries, clock }
    }

    pub(crate) fn get(&self, key: &str) -> Result<Option<Bytes>, CacheError> {
        self.find(key).map(Value::into_bytes).transpose()
    }

    pub(crate) fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), CacheError> {
        self.change(key, |_| Ok(((), Change::Put(Value::Bytes(value), Ttl::New(ttl)))))
    }

    pub(crate) fn set_if_absent(&self, key: &str, value: Bytes, ttl: Duration) -> Result<bool, CacheError> {
        self.change(key, |found| {
            Ok(if found.is_some() {
                (false, Change::Nothing)
            } else {
                (true, Change::Put(Value::Bytes(value), Ttl::New(ttl)))
            })
        })
    }

    pub(crate) fn delete(&self, key: &str) -> Result<(), CacheError> {
        self.change(key, |_| Ok(((), Change::Remove)))
    }

    pub(crate) fn take(&self, key: &str) -> Result<Option<Bytes>, CacheError> {
        self.change(key, |found| match found {
            Some(value) => Ok((Some(value.into_bytes()?), Change::Remove)),
            None => Ok((None, Change::Nothing)),
        })
    }

    pub(crate) fn increment(&self, key: &str, ttl: Duration) -> Result<i64, CacheError> {
        self.change(key, |found| {
            let (before, ttl) = match found {
                Some(value) => (parse(&value.into_bytes()?)?, Ttl::Kept),
                None => (0, Ttl::New(ttl)),
            };
            let sum = before.checked_add(1).ok_or(CacheError::WrongType)?;
            Ok((sum, Change::Put(Value::Bytes(sum.to_string().into()), ttl)))
        })
    }

    pub(crate) fn take_token(&self, key: &str, request: Request) -> Result<TokenBucket, CacheError> {
        let now_ms = self.clock.now_ms();
        self.change(key, |found| {
            let bucket = match found {
                Some(Value::Bucket(bucket)) => Some(bucket),
                Some(_) => return Err(CacheError::WrongType),
                None => None,
            };
            let (bucket, answer) = request.take(bucket, now_ms);
            Ok((answer, Change::Put(Value::Bucket(bucket), Ttl::New(request.lifetime()))))
        })
    }

    pub(crate) fn hash_set(&self, key: &str, field: &str, value: Bytes, ttl: Duration) -> Result<(), CacheError> {
        self.change(key, |found| {
            let mut fields = found.map(Value::into_hash).transpose()?.unwrap_or_default();
            Arc::make_mut(&mut fields).insert(field.to_owned(), value);
            Ok(((), Change::Put(Value::Hash(fields), Ttl::New(ttl))))
        })
    }

    pub(crate) fn hash_delete(&self, key: &str, field: &str) -> Result<(), CacheError> {
        self.change(key, |found| {
            let Some(mut fields) = found.map(Value::into_hash).transpose()? else { return Ok(((), Change::Nothing)) };
            Arc::make_mut(&mut fields).remove(field);
            let change = if fields.is_empty() { Change::Remove } else { Change::Put(Value::Hash(fields), Ttl::Kept) };
            Ok(((), change))
        })
    }

    pub(crate) fn hash_all(&self, key: &str) -> Result<HashMap<String, Bytes>, CacheError> {
        let fields = self.find(key).map(Value::into_hash).transpose()?;
        Ok(fields.map(|fields| fields.as_ref().clone()).unwrap_or_default())
    }

    fn find(&self, key: &str) -> Option<Value> {
        let entry = self.entries.get(key)?;
        (entry.expires_ms > self.clock.now_ms()).then_some(entry.value)
    }

    /// Looks at an entry and changes it, with nobody else between.
    fn change<T>(
        &self,
        key: &str,
        decide: impl FnOnce(Option<Value>) -> Result<(T, Change), CacheError>,
    ) -> Result<T, CacheError> {
        let mut answer = Err(CacheError::Unavailable);
        let mut is_large = false;
        self.entries.entry(key.into()).and_compute_with(|found| {
            let now_ms = self.clock.now_ms();
            let found = found.map(moka::Entry::into_value).filter(|entry| entry.expires_ms > now_ms);
            let expires_ms = found.as_ref().map(|entry| entry.expires_ms);
            let (answered, op) = match decide(found.map(|entry| entry.value)) {
                Ok((answered, Change::Nothing)) => (Ok(answered), Op::Nop),
                Ok((answered, Change::Remove)) => (Ok(answered), Op::Remove),
                Ok((answered, Change::Put(value, ttl))) => {
                    is_large = value.cost() >= LARGE;
                    let entry = Entry::new(value, &ttl, expires_ms, now_ms);
                    (Ok(answered), Op::Put(entry))
                }
                Err(error) => (Err(error), Op::Nop),
            };
            answer = answered;
            op
        });
        if is_large {
            self.entries.run_pending_tasks();
        }
        answer
    }
}

impl Entry {
    fn new(value: Value, ttl: &Ttl, kept_ms: Option<i64>, now_ms: i64) -> Self {
        let lifetime_ms = match (ttl, kept_ms) {
            (Ttl::Kept, Some(expires_ms)) => expires_ms - now_ms,
            (Ttl::Kept, None) => 1,
            (Ttl::New(ttl), _) => crate::redis::milliseconds(*ttl),
        };
        Self {
            value,
            expires_ms: now_ms.saturating_add(lifetime_ms),
            lifetime: Duration::from_millis(lifetime_ms.max(1) as u64),
        }
    }
}

fn parse(bytes: &Bytes) -> Result<i64, CacheError> {
    std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).ok_or(CacheError::WrongType)
}
