//! Kubernetes: the `EndpointSlice`s of the roles' Services, listed once and watched from there.
//!
//! While the API server is away the last known set stands; after [`STALE_AFTER`] DNS is asked as well. Calls never wait for
//! any of this: the list only says whom to probe.

mod slices;

use std::{collections::BTreeMap, pin::pin, sync::Arc, time::Duration};

use futures::StreamExt as _;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{
    Api, Client, Error,
    api::{ListParams, WatchEvent, WatchParams},
};
use tokio::time::{Instant, sleep, timeout};

use self::slices::{SERVICE_LABEL, Slices};
use crate::{config::Kubernetes, places::Place};

/// The server ends a watch after this long; a connection that died silently is noticed a little later.
const WATCH_SECONDS: u32 = 60;
const SILENCE: Duration = Duration::from_secs(65);
const CONNECT: Duration = Duration::from_secs(5);
const LIST: Duration = Duration::from_secs(15);
const BACKOFF_FIRST: Duration = Duration::from_millis(500);
const BACKOFF_MOST: Duration = Duration::from_secs(30);
const STALE_AFTER: Duration = Duration::from_secs(15);
/// A server that ends watches at once is asked no faster than this.
const PAUSE: Duration = Duration::from_millis(250);

#[derive(Debug, thiserror::Error)]
enum WatchError {
    #[error(transparent)]
    Api(#[from] Error),
    #[error("the configuration of the API server cannot be read: {0}")]
    Config(String),
    #[error("no answer within {} s", LIST.as_secs())]
    Silent,
}

impl WatchError {
    /// The version to watch from is too old: list again, at once.
    fn is_expired(&self) -> bool {
        matches!(self, Self::Api(Error::Api(status)) if status.code == 410)
    }
}

/// Follows the Services of `places` until dropped.
pub(crate) async fn follow(config: Kubernetes, places: BTreeMap<String, Arc<Place>>) {
    let slices = Slices::new(&config.port);
    follow_with(places, Server::Found(config), slices).await;
}

/// Where the API server is.
enum Server {
    Found(Kubernetes),
    #[cfg(test)]
    At(std::net::SocketAddr),
}

async fn follow_with(places: BTreeMap<String, Arc<Place>>, server: Server, slices: Slices) {
    let names: Vec<&str> = places.keys().map(String::as_str).collect();
    let selector = format!("{SERVICE_LABEL} in ({})", names.join(","));
    let mut watch = Watch { places, selector, slices, failing_since: None };
    let mut backoff = BACKOFF_FIRST;
    let mut api = None;
    loop {
        let started = Instant::now();
        let error = match &api {
            Some(api) => watch.run(api).await,
            None => match server.connect().await {
                Ok(connected) => {
                    api = Some(connected);
                    continue;
                }
                Err(error) => error,
            },
        };
        if error.is_expired() {
            tracing::debug!(%error, "the watch of endpoints is too old and begins anew");
            sleep(PAUSE).await;
            continue;
        }
        if started.elapsed() > BACKOFF_MOST {
            backoff = BACKOFF_FIRST;
        }
        watch.note_failure(&error);
        sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF_MOST);
    }
}

async fn infer() -> Result<kube::Config, WatchError> {
    kube::Config::infer().await.map_err(|error| WatchError::Config(error.to_string()))
}

impl Server {
    async fn connect(&self) -> Result<Api<EndpointSlice>, WatchError> {
        let (mut server, namespace) = match self {
            Self::Found(config) => (infer().await?, config.namespace.clone()),
            #[cfg(test)]
            Self::At(address) => {
                let url = format!("http://{address}").parse().expect("an address is a URL");
                (kube::Config::new(url), Some("test".to_owned()))
            }
        };
        server.connect_timeout = Some(CONNECT);
        server.read_timeout = Some(SILENCE);
        server.reset_reader_on_write = true;
        let namespace = namespace.unwrap_or_else(|| server.default_namespace.clone());
        Ok(Api::namespaced(Client::try_from(server)?, &namespace))
    }
}

struct Watch {
    places: BTreeMap<String, Arc<Place>>,
    selector: String,
    slices: Slices,
    failing_since: Option<Instant>,
}

impl Watch {
    /// Lists, then follows; returns why that ended.
    async fn run(&mut self, api: &Api<EndpointSlice>) -> WatchError {
        match self.list_and_watch(api).await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    async fn list_and_watch(&mut self, api: &Api<EndpointSlice>) -> Result<std::convert::Infallible, WatchError> {
        let query = ListParams::default().labels(&self.selector);
        let list = timeout(LIST, api.list(&query)).await.map_err(|_| WatchError::Silent)??;
        let mut version = list.metadata.resource_version.unwrap_or_default();
        self.slices.replace(&list.items);
        self.publish();
        let params = WatchParams { bookmarks: true, ..WatchParams::default() };
        let params = params.labels(&self.selector).timeout(WATCH_SECONDS);
        loop {
            let opened = timeout(LIST, api.watch(&params, &version)).await.map_err(|_| WatchError::Silent)??;
            let mut events = pin!(opened);
            while let Ok(Some(event)) = timeout(SILENCE, events.next()).await {
                self.take(event?, &mut version)?;
            }
            sleep(PAUSE).await;
        }
    }

    fn take(&mut self, event: WatchEvent<EndpointSlice>, version: &mut String) -> Result<(), WatchError> {
        let slice = match event {
            WatchEvent::Added(slice) | WatchEvent::Modified(slice) => {
                self.slices.apply(&slice);
                slice
            }
            WatchEvent::Deleted(slice) => {
                self.slices.remove(&slice);
                slice
            }
            WatchEvent::Bookmark(bookmark) => {
                *version = bookmark.metadata.resource_version;
                return Ok(());
            }
            WatchEvent::Error(status) => return Err(Error::Api(status).into()),
        };
        if let Some(new) = slice.metadata.resource_version {
            *version = new;
        }
        self.publish();
        Ok(())
    }

    fn publish(&mut self) {
        for (service, place) in &self.places {
            place.set_kubernetes(self.slices.endpoints(service));
        }
        if self.failing_since.take().is_some() {
            tracing::info!("endpoints are watched again");
        }
    }

    fn note_failure(&mut self, error: &WatchError) {
        let since = *self.failing_since.get_or_insert_with(|| {
            tracing::warn!(%error, "endpoints cannot be watched, the last known ones stand; see docs/operations/discovery.md");
            Instant::now()
        });
        if since.elapsed() >= STALE_AFTER {
            for place in self.places.values() {
                place.set_stale();
            }
        }
        tracing::debug!(%error, "endpoints cannot be watched");
    }
}

#[cfg(test)]
mod tests;
