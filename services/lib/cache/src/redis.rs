//! The cache shared by processes: Redis through one multiplexed connection.

mod link;

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
    time::Duration,
};

use ::redis::{
    Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, Script, ServerErrorKind, aio::MultiplexedConnection, cmd,
    pipe,
};
use bytes::Bytes;
use matrixon_runtime::{config::find_distrust, network::without_credentials};
use tokio::task::JoinSet;

use self::link::Link;
use crate::{CacheError, Config, TokenBucket, bucket::Request};

const TAKE_TOKEN_SOURCE: &str = include_str!("take_token.lua");
/// For its hash.
static TAKE_TOKEN: LazyLock<Script> = LazyLock::new(|| Script::new(TAKE_TOKEN_SOURCE));

#[derive(Debug)]
pub(crate) struct RedisCache {
    link: Arc<Link>,
    /// The task that reconnects; it ends with the cache.
    _task: JoinSet<()>,
}

impl RedisCache {
    pub(crate) async fn connect(config: &Config) -> Result<Self, CacheError> {
        let link = Arc::new(Link::new(config)?);
        // Once here, so that a cache that is there can be used as soon as this returns.
        if let Err(error) = link.connect().await
            && let Some(reason) = find_distrust(&error)
        {
            return Err(CacheError::Untrusted { url: without_credentials(&config.url), reason });
        }
        let mut task = JoinSet::new();
        task.spawn(link::keep_connected(Arc::clone(&link)));
        Ok(Self { link, _task: task })
    }

    /// Of the same Redis; its authorities are read again.
    pub(crate) fn set_credentials(&self, config: &Config) -> Result<(), CacheError> {
        self.link.set_client(link::client(config)?)
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.link.is_connected()
    }

    pub(crate) async fn settle(&self) {
        self.link.settle().await;
    }

    pub(crate) async fn get(&self, key: &str) -> Result<Option<Bytes>, CacheError> {
        let value: Option<Vec<u8>> = self.query(cmd("GET").arg(key)).await?;
        Ok(value.map(Bytes::from))
    }

    pub(crate) async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), CacheError> {
        self.query(cmd("SET").arg(key).arg(value.as_ref()).arg("PX").arg(milliseconds(ttl))).await
    }

    pub(crate) async fn set_if_absent(&self, key: &str, value: Bytes, ttl: Duration) -> Result<bool, CacheError> {
        let set: Option<String> =
            self.query(cmd("SET").arg(key).arg(value.as_ref()).arg("PX").arg(milliseconds(ttl)).arg("NX")).await?;
        Ok(set.is_some())
    }

    pub(crate) async fn delete(&self, key: &str) -> Result<(), CacheError> {
        self.query(cmd("UNLINK").arg(key)).await
    }

    pub(crate) async fn take(&self, key: &str) -> Result<Option<Bytes>, CacheError> {
        let value: Option<Vec<u8>> = self.query(cmd("GETDEL").arg(key)).await?;
        Ok(value.map(Bytes::from))
    }

    pub(crate) async fn increment(&self, key: &str, ttl: Duration) -> Result<i64, CacheError> {
        let mut commands = pipe();
        commands.atomic();
        // Sets the lifetime only where there is nothing yet (`PEXPIRE … NX` would need Redis 7).
        commands.cmd("SET").arg(key).arg(0).arg("PX").arg(milliseconds(ttl)).arg("NX").ignore();
        commands.cmd("INCR").arg(key);
        let (sum,) = self.query_all(&commands).await?;
        Ok(sum)
    }

    pub(crate) async fn take_token(&self, key: &str, request: Request) -> Result<TokenBucket, CacheError> {
        let call = |command: &str, script: &str| {
            let mut call = cmd(command);
            call.arg(script).arg(1).arg(key);
            call.arg(request.rate).arg(request.burst).arg(request.cost).arg(milliseconds(request.lifetime()));
            call
        };
        let by_hash = call("EVALSHA", TAKE_TOKEN.get_hash());
        let (allowed, retry_after_ms): (bool, u64) = self
            .run(async |mut connection| match by_hash.query_async(&mut connection).await {
                // Restarted or flushed. Sent in full it cannot be forgotten between loading and calling.
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                    call("EVAL", TAKE_TOKEN_SOURCE).query_async(&mut connection).await
                }
                result => result,
            })
            .await?;
        Ok(TokenBucket { allowed, retry_after: Duration::from_millis(retry_after_ms) })
    }

    pub(crate) async fn hash_set(&self, key: &str, field: &str, value: Bytes, ttl: Duration) -> Result<(), CacheError> {
        let mut commands = pipe();
        commands.atomic();
        commands.cmd("HSET").arg(key).arg(field).arg(value.as_ref()).ignore();
        commands.cmd("PEXPIRE").arg(key).arg(milliseconds(ttl)).ignore();
        self.query_all(&commands).await
    }

    pub(crate) async fn hash_delete(&self, key: &str, field: &str) -> Result<(), CacheError> {
        self.query(cmd("HDEL").arg(key).arg(field)).await
    }

    pub(crate) async fn hash_all(&self, key: &str) -> Result<HashMap<String, Bytes>, CacheError> {
        let fields: HashMap<String, Vec<u8>> = self.query(cmd("HGETALL").arg(key)).await?;
        Ok(fields.into_iter().map(|(field, value)| (field, value.into())).collect())
    }

    async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, CacheError> {
        self.run(async |mut connection| command.query_async(&mut connection).await).await
    }

    async fn query_all<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, CacheError> {
        self.run(async |mut connection| commands.query_async(&mut connection).await).await
    }

    async fn run<T>(
        &self,
        query: impl AsyncFnOnce(MultiplexedConnection) -> Result<T, RedisError>,
    ) -> Result<T, CacheError> {
        self.link.run(query).await
    }
}

/// Redis refuses lifetimes of 0, and of more than 2^63 ms since 1970.
pub(crate) fn milliseconds(ttl: Duration) -> i64 {
    i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX).clamp(1, 1 << 52)
}
