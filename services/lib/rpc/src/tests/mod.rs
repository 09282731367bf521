//! Replicas here are real listeners on 127.0.0.1; killing one drops its listener and sockets, as the end of a process does.

mod capacity;
mod dns;
mod errors;
mod failover;
mod grpc;
mod membership;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::State, response::IntoResponse, routing::any};
use bytes::Bytes;
use futures::StreamExt;
use http::{Request, StatusCode};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use matrixon_runtime::{role::Role, shutdown::Shutdown};
use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::ServiceExt;

use crate::{Address, Config, Peers, ReplicaState, Rpc, RpcError, request::DRAINING, server_router};

const LONG: Duration = Duration::from_secs(20);

/// What the handlers of a replica do and what they have seen.
struct Behaviour {
    name: String,
    ready: AtomicBool,
    refusing: AtomicBool,
    /// Requests that were begun, and a signal for each.
    begun: watch::Sender<usize>,
    /// Lets parked requests go.
    release: watch::Sender<bool>,
    hang: watch::Sender<bool>,
    bodies: AtomicUsize,
}

struct TestReplica {
    address: Address,
    behaviour: Arc<Behaviour>,
    life: CancellationToken,
    /// Closes in order: no new connections, GOAWAY on the others.
    closing: CancellationToken,
    gone: Arc<Notify>,
}

impl TestReplica {
    async fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), Router::new()).await
    }

    async fn start_at(at: SocketAddr, extra: Router) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let address = Address::from(listener.local_addr().unwrap());
        let behaviour = Arc::new(Behaviour {
            name: address.to_string(),
            ready: AtomicBool::new(true),
            refusing: AtomicBool::new(false),
            begun: watch::Sender::new(0),
            release: watch::Sender::new(false),
            hang: watch::Sender::new(false),
            bodies: AtomicUsize::new(0),
        });
        let (life, closing) = (CancellationToken::new(), CancellationToken::new());
        let gone = Arc::new(Notify::new());
        let router = router(&behaviour, extra);
        tokio::spawn(serve(listener, router, life.clone(), closing.clone(), gone.clone()));
        Self { address, behaviour, life, closing, gone }
    }

    fn socket(&self) -> SocketAddr {
        self.address.to_string().parse().unwrap()
    }

    /// Returns when the listener is closed, so that its port can be taken again.
    async fn kill(&self) {
        self.life.cancel();
        self.gone.notified().await;
    }

    /// Returns when the last call has been answered.
    async fn close(&self) {
        self.closing.cancel();
        self.gone.notified().await;
    }

    fn begun(&self) -> usize {
        *self.behaviour.begun.borrow()
    }

    async fn wait_begun(&self, count: usize) {
        let mut begun = self.behaviour.begun.subscribe();
        timeout(LONG, begun.wait_for(|begun| *begun >= count)).await.unwrap().unwrap();
    }
}

impl Drop for TestReplica {
    fn drop(&mut self) {
        self.life.cancel();
    }
}

fn router(behaviour: &Arc<Behaviour>, extra: Router) -> Router {
    let routes = Router::new()
        .route("/echo", any(echo))
        .route("/park", any(park))
        .route("/half", any(half))
        .route("/missing", any(|| async { (StatusCode::NOT_FOUND, "M_NOT_FOUND") }))
        .with_state(behaviour.clone());
    let ready = behaviour.clone();
    let switch = behaviour.hang.clone();
    server_router([routes, extra], move || ready.ready.load(Ordering::SeqCst)).layer(axum::middleware::from_fn(
        move |request: axum::extract::Request, next: axum::middleware::Next| {
            let mut hang = switch.subscribe();
            async move {
                hang.wait_for(|hang| !hang).await.expect("the replica is there");
                next.run(request).await
            }
        },
    ))
}

async fn echo(State(behaviour): State<Arc<Behaviour>>, body: Bytes) -> axum::response::Response {
    if behaviour.refusing.load(Ordering::SeqCst) {
        return (StatusCode::SERVICE_UNAVAILABLE, [(DRAINING, "1")], "draining").into_response();
    }
    behaviour.begun.send_modify(|begun| *begun += 1);
    behaviour.bodies.fetch_add(body.len(), Ordering::SeqCst);
    behaviour.name.clone().into_response()
}

async fn park(State(behaviour): State<Arc<Behaviour>>) -> String {
    behaviour.begun.send_modify(|begun| *begun += 1);
    let mut release = behaviour.release.subscribe();
    release.wait_for(|release| *release).await.expect("the replica is there");
    behaviour.name.clone()
}

/// The first half of the body at once, the second one when released.
async fn half(State(behaviour): State<Arc<Behaviour>>) -> axum::body::Body {
    behaviour.begun.send_modify(|begun| *begun += 1);
    let mut release = behaviour.release.subscribe();
    let first = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"first "))]);
    let second = futures::stream::once(async move {
        release.wait_for(|release| *release).await.expect("the replica is there");
        Ok(Bytes::from_static(b"second"))
    });
    axum::body::Body::from_stream(first.chain(second))
}

async fn serve(
    listener: TcpListener,
    router: Router,
    life: CancellationToken,
    closing: CancellationToken,
    gone: Arc<Notify>,
) {
    let mut connections = JoinSet::new();
    let accepting = async {
        while let Some(accepted) = closing.run_until_cancelled(listener.accept()).await {
            let (stream, _) = accepted.unwrap();
            stream.set_nodelay(true).unwrap();
            let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
            let (life, closing) = (life.clone(), closing.clone());
            let connection = async move {
                let mut connection = std::pin::pin!(connection);
                tokio::select! {
                    ended = &mut connection => return ended,
                    () = closing.cancelled() => connection.as_mut().graceful_shutdown(),
                }
                connection.await
            };
            connections.spawn(async move { life.run_until_cancelled(connection).await });
        }
    };
    let _killed = life.run_until_cancelled(accepting).await;
    drop(listener);
    while connections.join_next().await.is_some() {}
    gone.notify_one();
}

fn config(replicas: &[&TestReplica]) -> Config {
    Config { room: replicas.iter().map(|replica| replica.address.clone()).collect(), ..Config::default() }
}

fn peers(config: Config) -> Peers {
    Peers::new(config, HashMap::new(), Shutdown::new())
}

/// Peers that know so many replicas to be ready.
async fn ready_peers(replicas: &[&TestReplica]) -> Peers {
    let peers = peers(config(replicas));
    wait_for(&peers, |peers| peers.ready(Role::Room).len() == replicas.len()).await;
    peers
}

async fn wait_for(peers: &Peers, condition: impl Fn(&Peers) -> bool) {
    let mut changes = peers.members(Role::Room).changes();
    let waiting = async {
        while !condition(peers) {
            changes.changed().await.unwrap();
        }
    };
    timeout(LONG, waiting).await.expect("the state is reached");
}

fn state_of(peers: &Peers, replica: &TestReplica) -> Option<ReplicaState> {
    let address = replica.address.to_string();
    peers.replicas(Role::Room).into_iter().find(|known| known.address == address).map(|known| known.state)
}

fn post(path: &str, body: &'static str) -> Request<Body> {
    let body = Body::new(http_body_util::Full::new(Bytes::from_static(body.as_bytes())));
    Request::post(path).body(body).unwrap()
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

/// Status and text of the answer.
async fn call(rpc: &Rpc, request: Request<Body>) -> Result<(StatusCode, String), RpcError> {
    let response = rpc.clone().oneshot(request).await?;
    let status = response.status();
    let body = http_body_util::BodyExt::collect(response.into_body()).await.expect("the body arrives").to_bytes();
    Ok((status, String::from_utf8(body.to_vec()).unwrap()))
}

async fn text(rpc: &Rpc, request: Request<Body>) -> String {
    let (status, text) = timeout(LONG, call(rpc, request)).await.expect("an answer in time").expect("an answer");
    assert_eq!(status, StatusCode::OK);
    text
}
