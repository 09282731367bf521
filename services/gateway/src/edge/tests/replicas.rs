//! Services in replicas behind real sockets, one of which dies.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::extract::State;
use http::StatusCode;
use matrixon_http::{MatrixError, NoAuth, Raw, RawJson, RawResponse, RouteOptions, Routes, Verifier};
use matrixon_runtime::{
    clock::Clock,
    role::Role,
    serve::{self, ServeOptions},
    shutdown::Shutdown,
};
use tokio::{net::TcpListener, sync::Notify};

use super::backend::{Fixture, SECRET, get, post};

/// What a replica's handlers share.
#[derive(Clone, Default)]
struct Replica {
    requests: Arc<AtomicUsize>,
    /// Told when a request waits.
    waits: Arc<Notify>,
    /// The request waits for ever.
    stuck: bool,
}

fn routes() -> Routes<Replica> {
    Routes::new(Role::Sync).raw(http::Method::POST, "/_matrix/client/v3/test/work", work, RouteOptions::any()).raw(
        http::Method::GET,
        "/_matrix/client/v3/test/large",
        large,
        RouteOptions::any(),
    )
}

async fn work(State(replica): State<Replica>, raw: Raw<NoAuth>) -> Result<RawJson, MatrixError> {
    replica.requests.fetch_add(1, Ordering::AcqRel);
    replica.waits.notify_one();
    if replica.stuck {
        std::future::pending::<()>().await;
    }
    Ok(RawJson(serde_json::json!({ "key": raw.meta.idempotency_key }).to_string().into()))
}

async fn large(_: State<Replica>, _: Raw<NoAuth>) -> Result<RawResponse, MatrixError> {
    let chunks = (0..300).map(|_| Ok::<_, std::io::Error>(bytes::Bytes::from(vec![b'x'; 65_536])));
    Ok(RawResponse(axum::response::Response::new(axum::body::Body::from_stream(futures::stream::iter(chunks)))))
}

async fn start(replica: Replica) -> (matrixon_rpc::Address, Shutdown) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().into();
    let verifier = Verifier::new(SECRET.as_bytes(), None, Clock::system());
    let shutdown = Shutdown::new();
    let ready = {
        let shutdown = shutdown.clone();
        move || !shutdown.draining()
    };
    let router = matrixon_rpc::server_router([routes().into_router(replica, verifier)], ready);
    tokio::spawn(serve::run(listener, router, ServeOptions::cluster("sync", shutdown.clone())));
    (address, shutdown)
}

#[tokio::test]
async fn a_replica_that_dies_with_a_request_costs_nobody_an_error() {
    let stuck = Replica { stuck: true, ..Replica::default() };
    let sound = Replica::default();
    let (first, dies) = start(stuck.clone()).await;
    let (second, _) = start(sound.clone()).await;
    let discovery = matrixon_rpc::Config { sync: vec![first, second], ..matrixon_rpc::Config::default() };
    let fixture = Fixture::with_replicas(discovery, routes().table()).await;
    let work = async {
        // Some go to each replica; those that wait at the first one are done again at the second.
        let asked = (0..8).map(|_| fixture.send(post("/_matrix/client/v3/test/work", "{}")));
        futures::future::join_all(asked).await
    };
    let kill = async {
        stuck.waits.notified().await;
        dies.stop();
    };
    let (answers, ()) = tokio::join!(work, kill);
    for answer in answers {
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.raw);
    }
    assert_eq!(sound.requests.load(Ordering::Acquire), 8);
}

#[tokio::test]
async fn a_response_beyond_the_buffer_is_streamed() {
    let (address, _) = start(Replica::default()).await;
    let discovery = matrixon_rpc::Config { sync: vec![address], ..matrixon_rpc::Config::default() };
    let fixture = Fixture::with_replicas(discovery, routes().table()).await;
    let answer = fixture.send(get("/_matrix/client/v3/test/large").header("accept-encoding", "gzip")).await;
    assert_eq!((answer.status, answer.raw.len()), (StatusCode::OK, 300 * 65_536));
}

#[tokio::test]
async fn without_replicas_the_answer_is_a_clean_503() {
    let fixture = Fixture::with_replicas(matrixon_rpc::Config::default(), routes().table()).await;
    let answer = fixture.send(post("/_matrix/client/v3/test/work", "{}")).await;
    assert_eq!(answer.error(), (503, "M_UNKNOWN".to_owned()));
    assert!(answer.headers.contains_key("retry-after"));
}
