//! The connection: made, watched and made again in the background. While there is none, nobody waits for one.

use std::{io, pin::pin, sync::Arc, time::Duration};

use ::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisError, ServerError,
    TlsCertificates, aio::MultiplexedConnection, cmd, io::tcp::TcpSettings,
};
use matrixon_runtime::{
    config::{read_authorities, system_authorities},
    network::without_credentials,
};
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout, timeout_at},
};
use tracing::{debug, info, warn};

use crate::{CacheError, Config, metrics::CONNECTED};

/// Name resolution, connection and greeting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// An idle connection is tried this often, so that its loss is mended before someone needs it.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);
const MAX_RECONNECT_DELAY: Duration = Duration::from_millis(500);
/// A connection is made anew within this, unless Redis is away.
const SETTLE: Duration = Duration::from_secs(1);
/// Requests waiting to be written.
const PIPELINE: usize = 1_024;

#[derive(Debug)]
pub(crate) struct Link {
    client: Mutex<Client>,
    /// A request that has no answer after this has failed, and so has the connection.
    response_timeout: Duration,
    state: Mutex<State>,
    lost: Notify,
    made: Notify,
}

#[derive(Debug, Default)]
struct State {
    connection: Option<MultiplexedConnection>,
    lost_at: Option<Instant>,
    /// Which connection it is, so that a late failure of an old one does not end the new one.
    generation: u64,
}

impl Link {
    pub(crate) fn new(config: &Config) -> Result<Self, CacheError> {
        Ok(Self {
            client: Mutex::new(client(config)?),
            response_timeout: Duration::from_millis(config.timeout_ms.get()),
            state: Mutex::default(),
            lost: Notify::new(),
            made: Notify::new(),
        })
    }

    /// Makes the connections from now on, to the same Redis.
    pub(crate) fn set_client(&self, client: Client) -> Result<(), CacheError> {
        let mut current = self.client.lock();
        if place(&current) != place(&client) {
            return Err(CacheError::OtherServer { url: place(&current).0.to_string() });
        }
        *current = client;
        Ok(())
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.state.lock().connection.is_some()
    }

    /// Waits for a connection that was lost just now. One that has been away for a second is not waited for.
    pub(crate) async fn settle(&self) {
        let mut made = pin!(self.made.notified());
        made.as_mut().enable();
        let lost_at = {
            let state = self.state.lock();
            if state.connection.is_some() { None } else { state.lost_at }
        };
        if let Some(lost_at) = lost_at {
            // Either way the next request says how it is.
            let _ = timeout_at(lost_at + SETTLE, made).await;
        }
    }

    pub(crate) async fn run<T>(
        &self,
        query: impl AsyncFnOnce(MultiplexedConnection) -> Result<T, RedisError>,
    ) -> Result<T, CacheError> {
        let (connection, generation) = {
            let state = self.state.lock();
            (state.connection.clone().ok_or(CacheError::Unavailable)?, state.generation)
        };
        match timeout(self.response_timeout, query(connection)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) if is_lost(&error) => {
                self.lose(generation, &error);
                Err(CacheError::Unavailable)
            }
            Ok(Err(error)) => Err(refusal(&error)),
            Err(elapsed) => {
                self.lose(generation, &elapsed);
                Err(CacheError::Unavailable)
            }
        }
    }

    /// One attempt.
    pub(crate) async fn connect(&self) -> Result<(), RedisError> {
        let late = |_| io::Error::from(io::ErrorKind::TimedOut);
        let client = self.client.lock().clone();
        let connection = timeout(CONNECT_TIMEOUT, open(&client)).await.map_err(late)??;
        let mut state = self.state.lock();
        state.generation += 1;
        state.connection = Some(connection);
        CONNECTED.set(1);
        drop(state);
        self.made.notify_waiters();
        info!("cache connected");
        Ok(())
    }

    fn lose(&self, generation: u64, error: &dyn std::fmt::Display) {
        let mut state = self.state.lock();
        if state.generation == generation && state.connection.take().is_some() {
            state.lost_at = Some(Instant::now());
            CONNECTED.set(0);
            drop(state);
            warn!(%error, "cache disconnected");
            self.lost.notify_one();
        }
    }
}

pub(crate) async fn keep_connected(link: Arc<Link>) {
    loop {
        let mut delay = Duration::ZERO;
        while !link.is_connected()
            && let Err(error) = link.connect().await
        {
            // Of many attempts the first says why.
            if delay.is_zero() {
                warn!(%error, "cache cannot be connected");
            } else {
                debug!(%error, "cache cannot be connected");
            }
            delay = (delay * 2).clamp(Duration::from_millis(20), MAX_RECONNECT_DELAY);
            sleep(delay).await;
        }
        tokio::select! {
            () = link.lost.notified() => {}
            () = sleep(PROBE_INTERVAL) => {
                // A failure is seen by the loop: there is no connection then.
                let _: Result<(), _> = link.run(async |mut connection| ping(&mut connection).await).await;
            }
        }
    }
}

pub(crate) fn client(config: &Config) -> Result<Client, CacheError> {
    let invalid = |_| CacheError::Url { url: without_credentials(&config.url) };
    let info = config.url.as_str().into_connection_info().map_err(invalid)?;
    let mut settings = info.redis_settings().clone();
    if !config.user.is_empty() {
        settings = settings.set_username(&config.user);
    }
    if !config.password.is_empty() {
        settings = settings.set_password(config.password.expose());
    }
    let info = info.set_redis_settings(settings).set_tcp_settings(TcpSettings::default().set_nodelay(true));
    match (info.addr().clone(), &config.ca_certificate) {
        // `rediss://…#insecure`
        (ConnectionAddr::TcpTls { insecure: true, .. }, _) => {
            Err(CacheError::Url { url: without_credentials(&config.url) })
        }
        (ConnectionAddr::TcpTls { .. }, Some(path)) => {
            open_tls(info, read_authorities("cache.ca_certificate", path)?).map_err(invalid)
        }
        (ConnectionAddr::TcpTls { .. }, None) => open_tls(info, system_authorities()).map_err(invalid),
        (_, Some(_)) => Err(CacheError::NoTls { url: without_credentials(&config.url) }),
        (_, None) => Client::open(info).map_err(invalid),
    }
}

/// Trusts those authorities and no others.
fn open_tls(info: ConnectionInfo, authorities: Vec<u8>) -> Result<Client, RedisError> {
    // the first one to say so wins, and everybody here says the same
    let _installed = rustls::crypto::ring::default_provider().install_default();
    Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert: Some(authorities) })
}

/// The address, and which of the databases there.
fn place(client: &Client) -> (&ConnectionAddr, i64) {
    let info = client.get_connection_info();
    (info.addr(), info.redis_settings().db())
}

async fn open(client: &Client) -> Result<MultiplexedConnection, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        // Ours is stricter: it also covers the wait for a place in the pipeline.
        .set_response_timeout(None)
        .set_pipeline_buffer_size(PIPELINE);
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    // It may be listening and still be loading, or hang.
    ping(&mut connection).await?;
    Ok(connection)
}

async fn ping(connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
    cmd("PING").query_async(connection).await
}

/// Is this connection of no more use: broken, or to a Redis that cannot serve?
fn is_lost(error: &RedisError) -> bool {
    let cannot_serve = |error: &ServerError| matches!(error.code(), "LOADING" | "READONLY" | "MASTERDOWN");
    error.is_io_error() || error.is_unrecoverable_error() || server_errors(error).iter().any(cannot_serve)
}

fn refusal(error: &RedisError) -> CacheError {
    let is_wrong_type = |error: &ServerError| {
        let details = error.details().unwrap_or_default();
        error.code() == "WRONGTYPE" || details.contains("not an integer") || details.contains("would overflow")
    };
    if server_errors(error).iter().any(is_wrong_type) {
        return CacheError::WrongType;
    }
    CacheError::Refused(error.to_string())
}

/// What Redis said: for a transaction perhaps several things.
fn server_errors(error: &RedisError) -> Vec<ServerError> {
    let errors = error.clone().into_server_errors();
    errors.iter().flat_map(|errors| errors.iter().map(|(_, error)| error.clone())).collect()
}
