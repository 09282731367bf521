use std::time::Duration;

use axum::{Router, extract::ConnectInfo, http::Version, routing::get};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::Notify,
    task::JoinHandle,
};

use super::*;
use crate::metrics::{IntCounter, counter};

struct Server {
    address: SocketAddr,
    shutdown: Shutdown,
    arrived: Arc<Notify>,
    release: Arc<Notify>,
    task: JoinHandle<()>,
}

/// `/` answers the peer's address, `/wait` says that it arrived and answers when released.
async fn serve(service: &'static str, header_timeout: Duration) -> Server {
    let (shutdown, arrived, release) = (Shutdown::new(), Arc::new(Notify::new()), Arc::new(Notify::new()));
    let waiting = (Arc::clone(&arrived), Arc::clone(&release));
    let router =
        Router::new().route("/", get(async |ConnectInfo(remote): ConnectInfo<SocketAddr>| remote.to_string())).route(
            "/wait",
            get(move || {
                let (arrived, release) = waiting.clone();
                async move {
                    arrived.notify_one();
                    release.notified().await;
                    "released"
                }
            }),
        );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let options = ServeOptions { header_timeout, ..ServeOptions::public(service, shutdown.clone()) };
    let task = tokio::spawn(run(listener, router, options));
    Server { address, shutdown, arrived, release, task }
}

async fn connect_http1(server: &Server) -> http1::SendRequest<Empty<Bytes>> {
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn connect_http2(server: &Server) -> http2::SendRequest<Empty<Bytes>> {
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn request(path: &str) -> Request<Empty<Bytes>> {
    Request::get(format!("http://localhost{path}")).body(Empty::new()).unwrap()
}

fn drained(service: &str, result: &str) -> IntCounter {
    counter("drained_requests_total", "", &["service", "result"]).with_label_values(&[service, result])
}

const LONG: Duration = Duration::from_mins(1);

#[tokio::test]
async fn both_protocols_are_served_on_one_port() {
    let server = serve("both", LONG).await;
    let answer = connect_http1(&server).await.send_request(request("/")).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, Version::HTTP_11));
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(body.starts_with(b"127.0.0.1:"), "{body:?}");
    let answer = connect_http2(&server).await.send_request(request("/")).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, Version::HTTP_2));
}

#[tokio::test]
async fn a_drain_says_goodbye_and_finishes_what_is_in_flight() {
    let server = serve("drain", LONG).await;
    let (mut parked, mut other) = (connect_http1(&server).await, connect_http1(&server).await);
    let mut multiplexed = connect_http2(&server).await;
    let waiting = [parked.send_request(request("/wait"))];
    let multiplexed_waiting = multiplexed.send_request(request("/wait"));
    let waiting = tokio::spawn(async move {
        let [first] = waiting;
        tokio::join!(first, multiplexed_waiting)
    });
    server.arrived.notified().await;
    server.arrived.notified().await;
    assert_eq!(server.shutdown.in_flight(), 2);

    server.shutdown.begin_drain();
    let answer = other.send_request(request("/")).await.unwrap();
    assert_eq!(answer.headers()["connection"], "close");

    server.shutdown.close();
    server.release.notify_one();
    server.release.notify_one();
    let (first, second) = waiting.await.unwrap();
    assert_eq!(first.unwrap().into_body().collect().await.unwrap().to_bytes(), "released");
    assert_eq!(second.unwrap().into_body().collect().await.unwrap().to_bytes(), "released");
    server.task.await.unwrap();
    assert_eq!(server.shutdown.in_flight(), 0);
    assert_eq!((drained("drain", "completed").get(), drained("drain", "cut").get()), (3, 0));
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn what_is_still_in_flight_at_the_end_is_cut_and_counted() {
    let server = serve("cut", LONG).await;
    let mut parked = connect_http1(&server).await;
    let waiting = tokio::spawn(parked.send_request(request("/wait")));
    server.arrived.notified().await;
    server.shutdown.stop();
    server.task.await.unwrap();
    assert!(waiting.await.unwrap().is_err());
    assert_eq!((drained("cut", "completed").get(), drained("cut", "cut").get()), (0, 1));
}

#[tokio::test]
async fn a_connection_that_asks_for_nothing_is_closed() {
    let server = serve("silent", Duration::from_millis(50)).await;
    for opening in ["", "PRI * HT", "GET / HTTP/1.1\r\nHost: x\r\n"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(opening.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
        assert!(closed.is_ok(), "{opening:?} kept the connection open");
    }
}
