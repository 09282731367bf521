//! Against an API server of a few lines over HTTP: lists, watches, ends, expires, goes away. `tests/kubernetes.rs` does the same
//! with a real one.

use std::net::SocketAddr;

use axum::{
    Router,
    body::Body,
    extract::{RawQuery, State},
    response::IntoResponse as _,
    routing::get,
};
use http::StatusCode;
use matrixon_runtime::role::Role;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::broadcast, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{Address, ReplicaState, replica::members::Members, timing::Timing};

const LONG: Duration = Duration::from_secs(20);

struct FakeServer {
    slices: Mutex<Vec<Value>>,
    /// Lines for open watches; an empty one ends them.
    events: broadcast::Sender<String>,
    lists: std::sync::atomic::AtomicUsize,
}

impl FakeServer {
    fn new(slices: Vec<Value>) -> Arc<Self> {
        Arc::new(Self {
            slices: Mutex::new(slices),
            events: broadcast::Sender::new(16),
            lists: std::sync::atomic::AtomicUsize::new(0),
        })
    }

    async fn listen(self: &Arc<Self>, at: SocketAddr) -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind(at).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/apis/discovery.k8s.io/v1/namespaces/test/endpointslices", get(answer))
            .with_state(self.clone());
        (address, tokio::spawn(async move { axum_serve(listener, router).await }))
    }

    fn say(&self, event: &Value) {
        // nobody listens yet: the next list says it
        let _watchers = self.events.send(format!("{event}\n"));
    }

    fn lists(&self) -> usize {
        self.lists.load(std::sync::atomic::Ordering::SeqCst)
    }
}

async fn axum_serve(listener: TcpListener, router: Router) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let service = hyper_util::service::TowerToHyperService::new(router.clone());
        let io = hyper_util::rt::TokioIo::new(stream);
        connections
            .spawn(async move { hyper::server::conn::http1::Builder::new().serve_connection(io, service).await });
    }
}

async fn answer(State(server): State<Arc<FakeServer>>, RawQuery(query): RawQuery) -> axum::response::Response {
    let query = query.unwrap_or_default();
    assert!(query.contains("labelSelector=kubernetes.io%2Fservice-name+in+%28mx-room%29"), "{query}");
    if !query.contains("watch=true") {
        server.lists.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let items = server.slices.lock().clone();
        let list = json!({"kind": "EndpointSliceList", "apiVersion": "discovery.k8s.io/v1",
            "metadata": {"resourceVersion": "10"}, "items": items});
        return list.to_string().into_response();
    }
    let events = server.events.subscribe();
    // what is newer than the client's version comes first, as from a real server
    let known = query.split('&').find_map(|part| part.strip_prefix("resourceVersion=")?.parse().ok()).unwrap_or(0);
    let newer = server.slices.lock().iter().filter_map(|slice| newer_than(known, slice)).collect::<String>();
    let lines = futures::stream::unfold(events, async |mut events| match events.recv().await {
        Ok(line) if line.trim().is_empty() => None,
        Ok(line) => Some((Ok::<_, std::convert::Infallible>(line), events)),
        Err(_) => None,
    });
    let missed = futures::stream::iter((!newer.is_empty()).then_some(Ok(newer)));
    (StatusCode::OK, Body::from_stream(missed.chain(lines))).into_response()
}

fn newer_than(known: u32, slice: &Value) -> Option<String> {
    let version: u32 = slice["metadata"]["resourceVersion"].as_str()?.parse().ok()?;
    (version > known).then(|| format!("{}\n", json!({"type": "MODIFIED", "object": slice})))
}

fn slice(name: &str, version: u32, endpoints: &[(u16, bool, bool)]) -> Value {
    let endpoint = |(last, ready, terminating): &(u16, bool, bool)| {
        json!({"addresses": [format!("10.0.0.{last}")],
            "conditions": {"ready": ready, "serving": true, "terminating": terminating}})
    };
    json!({"kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1", "addressType": "IPv4",
        "metadata": {"name": name, "namespace": "test", "resourceVersion": version.to_string(),
            "labels": {"kubernetes.io/service-name": "mx-room"}},
        "ports": [{"name": "other", "port": 1}, {"name": "cluster", "port": 8010}],
        "endpoints": endpoints.iter().map(endpoint).collect::<Vec<_>>()})
}

struct Watched {
    place: Arc<Place>,
    _stop: tokio_util::sync::DropGuard,
    task: JoinHandle<()>,
}

impl Watched {
    fn start(server: SocketAddr) -> Self {
        let stop = CancellationToken::new();
        let members = Members::new(Role::Room, stop.clone(), Timing::default());
        let place = Arc::new(Place::new(Arc::new(members), Vec::new()));
        let places = BTreeMap::from([("mx-room".to_owned(), place.clone())]);
        let task = tokio::spawn(follow_with(places, super::Server::At(server), Slices::new("cluster")));
        Self { place, _stop: stop.drop_guard(), task }
    }

    fn hosts(&self) -> Vec<String> {
        let statuses = self.place.members.statuses();
        statuses.iter().map(|status| status.address.replace(":8010", "").replace("10.0.0.", "")).collect()
    }

    async fn wait(&self, hosts: &[&str]) {
        let mut changes = self.place.members.changes();
        let reached = async {
            while self.hosts() != hosts {
                changes.changed().await.unwrap();
            }
        };
        timeout(LONG, reached).await.unwrap_or_else(|_| panic!("{:?} and not {hosts:?}", self.hosts()));
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn what_the_watch_says_is_followed() {
    let server = FakeServer::new(vec![slice("one", 1, &[(1, true, false), (2, true, false)])]);
    let (address, _serving) = server.listen("127.0.0.1:0".parse().unwrap()).await;
    let watched = Watched::start(address);
    watched.wait(&["1", "2"]).await;
    while server.events.receiver_count() == 0 {
        tokio::task::yield_now().await;
    }
    server.say(&json!({"type": "ADDED", "object": slice("two", 11, &[(3, true, false)])}));
    watched.wait(&["1", "2", "3"]).await;
    server.say(&json!({"type": "BOOKMARK", "object": {"kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1",
        "metadata": {"resourceVersion": "12"}}}));
    server.say(&json!({"type": "MODIFIED", "object": slice("one", 13, &[(2, true, false)])}));
    watched.wait(&["2", "3"]).await;
    server.say(&json!({"type": "DELETED", "object": slice("two", 14, &[(3, true, false)])}));
    watched.wait(&["2"]).await;
    assert_eq!(server.lists(), 1);
}

#[tokio::test]
async fn an_expired_version_is_answered_by_a_new_list() {
    let server = FakeServer::new(vec![slice("one", 1, &[(1, true, false)])]);
    let (address, _serving) = server.listen("127.0.0.1:0".parse().unwrap()).await;
    let watched = Watched::start(address);
    watched.wait(&["1"]).await;
    *server.slices.lock() = vec![slice("other", 20, &[(9, true, false)])];
    while server.events.receiver_count() == 0 {
        tokio::task::yield_now().await;
    }
    server.say(&json!({"type": "ERROR", "object": {"kind": "Status", "apiVersion": "v1", "status": "Failure",
        "message": "too old resource version", "reason": "Expired", "code": 410, "metadata": {}}}));
    watched.wait(&["9"]).await;
    assert_eq!(server.lists(), 2);
}

#[tokio::test]
async fn the_last_known_set_stands_while_the_api_server_is_away() {
    let server = FakeServer::new(vec![slice("one", 1, &[(1, true, false)])]);
    let (address, serving) = server.listen("127.0.0.1:0".parse().unwrap()).await;
    let watched = Watched::start(address);
    watched.wait(&["1"]).await;
    serving.abort();
    assert!(serving.await.unwrap_err().is_cancelled());
    *server.slices.lock() = vec![slice("one", 30, &[(1, true, false), (2, true, false)])];
    assert_eq!(watched.hosts(), ["1"]);
    watched.place.set_dns(vec![Address::new("10.0.0.7", 8010)]);
    assert_eq!(watched.hosts(), ["1"], "the API server has answered: its word counts");
    watched.place.set_stale();
    assert_eq!(watched.hosts(), ["1", "7"], "and DNS adds to it when it has been away for long");
    let (_, _serving) = server.listen(address).await;
    watched.wait(&["1", "2"]).await;
}

#[tokio::test]
async fn what_terminates_gets_no_new_calls() {
    let mut slices = Slices::new("cluster");
    let read = |value| serde_json::from_value::<EndpointSlice>(value).unwrap();
    slices.apply(&read(slice("one", 1, &[(1, true, false), (2, false, false), (3, true, true)])));
    let ready: Vec<bool> = slices.endpoints("mx-room").iter().map(|endpoint| endpoint.1).collect();
    assert_eq!(ready, [true, false, false]);
    assert_eq!(slices.endpoints("mx-roo"), []);
    let mut unnamed = slice("two", 2, &[(4, true, false)]);
    unnamed["ports"] = json!([{"port": 8010}]);
    slices.apply(&read(unnamed));
    assert_eq!(slices.endpoints("mx-room").len(), 3, "a slice without our port has no endpoints for us");
    assert_eq!(ReplicaState::Draining, held_state());
}

/// A replica that answers its probes and is held back counts as draining.
fn held_state() -> ReplicaState {
    let replica = crate::replica::Replica::start(
        Address::new("127.0.0.1", 9),
        tokio::sync::watch::Sender::new(0),
        &CancellationToken::new(),
        Timing::default(),
    );
    replica.suspect(ReplicaState::Ready);
    replica.hold(true);
    replica.state()
}
