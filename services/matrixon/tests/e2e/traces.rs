//! Traces: one request is one trace, from the gateway through its role to the SQL statements, and the log says which.

use std::{collections::BTreeSet, fs};

use anyhow::{Context as _, Result};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, HeaderValue, Response},
    routing::post,
};
use http_body_util::{BodyExt as _, Full};
use matrixon_runtime::{
    serve::{self, ServeOptions},
    shutdown::Shutdown,
};
use matrixon_testkit::{
    client::room_path,
    cluster::{Profile, Topology},
    tests,
};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime::Runtime, sync::watch};

use crate::env::{Env, Shared};

tests![Traced: one_send_is_one_trace];

/// A span of the trace that we asked for: `service name`.
type Seen = BTreeSet<String>;

pub(crate) struct Traced {
    env: Shared,
    seen: watch::Receiver<Seen>,
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// A server that sends its traces to us.
pub(crate) fn start(topology: Topology, runtime: &Runtime) -> Result<Traced> {
    let (seeing, seen) = watch::channel(Seen::new());
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    let collector = Router::new().route(path, post(export)).with_state(seeing);
    runtime.spawn(serve::run(listener, collector, ServeOptions::cluster("collector", Shutdown::new())));
    let options = Env::options().with_profile(Profile::Load).with("telemetry.otlp_endpoint", endpoint);
    let options = options.with("telemetry.log_level", "info,matrixon_store=debug");
    Ok(Traced { env: Env::start_with(topology, &options)?.into(), seen })
}

/// The one call of a collector.
async fn export(State(seeing): State<watch::Sender<Seen>>, body: Bytes) -> Response<Body> {
    // five bytes of gRPC framing come first
    let request = ExportTraceServiceRequest::decode(body.slice(5..)).unwrap_or_default();
    let trace = u128::from_str_radix(TRACE, 16).expect("it is hexadecimal").to_be_bytes();
    for resource in request.resource_spans {
        let attributes = resource.resource.map(|resource| resource.attributes).unwrap_or_default();
        let service = attributes.into_iter().find(|attribute| attribute.key == "service.name");
        let service = format!("{:?}", service.and_then(|service| service.value));
        let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        for span in spans.filter(|span| span.trace_id == trace) {
            seeing.send_modify(|seen| {
                seen.insert(format!("{service} {}", span.name));
            });
        }
    }
    let trailers =
        async { Some(Ok(HeaderMap::from_iter([("grpc-status".parse().expect("a name"), HeaderValue::from(0))]))) };
    let mut response = Response::new(Body::new(Full::new(Bytes::from_static(&[0; 5])).with_trailers(trailers)));
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}

async fn one_send_is_one_trace(traced: std::sync::Arc<Traced>) -> Result<()> {
    let alice = traced.env.user("traced").await?;
    let room = traced.env.room(&alice, &[]).await?;
    let url = format!("{}{}", alice.next_url(), room_path(&room, "send/m.room.message/traced"));
    let sent = reqwest::Client::new()
        .put(url)
        .bearer_auth(alice.token.as_deref().unwrap_or_default())
        .header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"))
        .json(&json!({ "msgtype": "m.text", "body": "traced" }));
    let response = sent.send().await?;
    assert_eq!(response.status(), 200);
    let cluster = traced.env.own()?;
    let is_cluster = cluster.state()?.processes.iter().any(|process| process.role == "room");
    let (gateway, room) =
        if is_cluster { ("matrixon-gateway", "matrixon-room") } else { ("matrixon-all", "matrixon-all") };
    let wanted = [
        (gateway, "gateway.request"),
        (room, "http.serve"),
        (room, "room.http.message.send_message_event"),
        (room, "db.commit"),
        (room, "db.query"),
    ];
    let mut seen = traced.seen.clone();
    let complete = |seen: &Seen| {
        wanted.iter().all(|(service, name)| {
            seen.iter().any(|span| span.contains(service) && span.ends_with(&format!(" {name}")))
        })
    };
    let waited = tokio::time::timeout(std::time::Duration::from_secs(30), seen.wait_for(complete)).await;
    assert!(waited.is_ok(), "the trace has only {:#?}", traced.seen.borrow());
    let mut logs = String::new();
    for process in cluster.state()?.processes {
        logs += &fs::read_to_string(&process.log)?;
    }
    let lines = logs.lines().filter(|line| line.contains(TRACE));
    let mut lines = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let access = lines.find(|line| line["target"] == "access").context("no access line has the trace id")?;
    assert_eq!(access["trace_id"], TRACE, "{access}");
    Ok(())
}
