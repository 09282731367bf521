//! Traces reach a collector over OTLP, with the service's name and the caller's trace id. In a process of its own,
//! because a process has one subscriber.

use std::time::Duration;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, HeaderValue, Response},
    routing::post,
};
use http_body_util::{BodyExt as _, Full};
use matrixon_runtime::{
    config::TelemetryConfig,
    serve::{self, ServeOptions},
    shutdown::Shutdown,
    telemetry,
};
use tokio::{
    net::TcpListener,
    sync::mpsc::{Sender, channel},
};

const TRACE: [u8; 16] =
    [0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36];
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// The one call of a collector that we need: takes the bytes, answers an empty message.
async fn export(State(received): State<Sender<Bytes>>, body: Bytes) -> Response<Body> {
    received.send(body).await.unwrap();
    let trailers = async { Some(Ok(HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from(0))]))) };
    let body = Full::new(Bytes::from_static(&[0; 5])).with_trailers(trailers);
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_reach_the_collector_as_part_of_the_callers_trace() {
    let (received, mut requests) = channel(16);
    let collector = Router::new()
        .route("/opentelemetry.proto.collector.trace.v1.TraceService/Export", post(export))
        .with_state(received);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(serve::run(listener, collector, ServeOptions::cluster("collector", Shutdown::new())));

    let config = TelemetryConfig { otlp_endpoint: Some(endpoint), ..TelemetryConfig::default() };
    let guard = telemetry::init(&config, "room").unwrap();
    let incoming = HeaderMap::from_iter([("traceparent".parse().unwrap(), HeaderValue::from_static(TRACEPARENT))]);
    let span = tracing::info_span!("room.http.message.send_message_event");
    telemetry::set_parent(&span, &incoming);
    let mut outgoing = HeaderMap::new();
    span.in_scope(|| telemetry::inject(&mut outgoing));
    let traceparent = outgoing["traceparent"].to_str().unwrap().to_owned();
    assert!(traceparent.starts_with(&TRACEPARENT[..36]) && traceparent != TRACEPARENT, "{traceparent}");
    drop(span);
    // Dropping the guard sends what is pending; it blocks, so not on a thread that the collector needs.
    let flushed = tokio::task::spawn_blocking(move || drop(guard));
    let body = tokio::time::timeout(Duration::from_secs(20), requests.recv()).await.unwrap().unwrap();
    for expected in [&b"matrixon-room"[..], b"room.http.message.send_message_event", &TRACE] {
        assert!(body.windows(expected.len()).any(|window| window == expected), "{expected:?} is not in {body:?}");
    }
    flushed.await.unwrap();
}
