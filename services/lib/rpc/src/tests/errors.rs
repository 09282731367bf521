use std::collections::HashMap;

use super::*;
use crate::{Deadline, ErrorDetail, decode_status, encode_status, local, timing::Timing};

#[tokio::test]
async fn a_local_role_answers_as_a_remote_one_does() {
    let replica = TestReplica::start().await;
    let here = local(router(&replica.behaviour, Router::new()));
    let locals = HashMap::from([(Role::Room, here)]);
    // The list names a replica as well: the local role is preferred.
    let near = Peers::new(config(&[&replica]), locals, Shutdown::new());
    assert_eq!(near.ready(Role::Room)[0].address, "local");
    let far = ready_peers(&[&replica]).await;
    for path in ["/missing", "/nowhere", "/echo"] {
        let near = call(&near.role(Role::Room), post(path, "{}")).await.unwrap();
        let far = call(&far.role(Role::Room), post(path, "{}")).await.unwrap();
        assert_eq!(near, far, "{path}");
    }
    assert_eq!(far.replicas(Role::Room)[0].in_flight, 0);
}

#[tokio::test]
async fn a_role_nobody_configured_fails_at_once() {
    let error = call(&peers(Config::default()).role(Role::Media), get("/echo")).await.unwrap_err();
    assert!(matches!(error, RpcError::NotConfigured { role: Role::Media }), "{error}");
    assert!(error.is_unavailable());
}

#[tokio::test]
async fn with_all_replicas_out_a_call_waits_and_then_says_so() {
    let replica = TestReplica::start().await;
    replica.kill().await;
    let timing = Timing { patience: Duration::from_millis(300), ..Timing::default() };
    let peers = Peers::with_timing(&config(&[&replica]), HashMap::new(), &Shutdown::new(), timing);
    let started = std::time::Instant::now();
    let error = call(&peers.role(Role::Room), get("/echo")).await.unwrap_err();
    assert!(matches!(error, RpcError::Unavailable { role: Role::Room, .. }), "{error}");
    assert_eq!(error.http_status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(started.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_deadline_ends_a_call_and_frees_its_stream() {
    let replica = TestReplica::start().await;
    let peers = ready_peers(&[&replica]).await;
    let mut request = get("/park");
    request.extensions_mut().insert(Deadline::after(Duration::from_millis(200)));
    let error = call(&peers.role(Role::Room), request).await.unwrap_err();
    assert!(matches!(error, RpcError::DeadlineExceeded { role: Role::Room }), "{error}");
    assert_eq!(replica.begun(), 1);
    assert_eq!(peers.replicas(Role::Room)[0].in_flight, 0);
}

#[test]
fn details_survive_the_wire_and_unknown_ones_read_as_unknown() {
    let detail = ErrorDetail {
        errcode: "M_LIMIT_EXCEEDED".to_owned(),
        message: "slow down".to_owned(),
        retry_after_ms: 1500,
        http_status: 429,
        ..Default::default()
    };
    let status = encode_status(&detail);
    assert_eq!(status.code(), tonic::Code::ResourceExhausted);
    assert_eq!(decode_status(&status), detail);
    let bare = decode_status(&tonic::Status::not_found("no such thing"));
    assert_eq!((bare.errcode.as_str(), bare.http_status), ("M_UNKNOWN", 404));
    let junk = tonic::Status::with_details(tonic::Code::Internal, "x", Bytes::from_static(b"\xff\xff\xff"));
    assert_eq!(decode_status(&junk).http_status, 500);
}

#[tokio::test]
async fn what_a_client_claims_in_headers_does_not_make_its_request_a_grpc_call() {
    let timing = Timing { patience: Duration::from_millis(50), ..Timing::default() };
    let replica = TestReplica::start().await;
    replica.kill().await;
    let peers = Peers::with_timing(&config(&[&replica]), HashMap::new(), &Shutdown::new(), timing);
    let mut request = post("/a/path/of/the/client", "{}");
    request.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    request.headers_mut().insert("grpc-timeout", "1n".parse().unwrap());
    let error = call(&peers.role(Role::Room), request).await.unwrap_err();
    assert!(matches!(error, RpcError::Unavailable { .. }), "{error}");
    assert!(!matrixon_runtime::metrics::gather().contains("/a/path/of/the/client"));
}

#[test]
fn the_section_reads_from_toml() {
    let config: Config = toml::from_str(
        "room = [\"http://room-0:9000\", \"room-1:9000\"]\nname_server = \"10.0.0.10:53\"\n[dns]\nsync = \"sync.svc:9000\"",
    )
    .unwrap();
    assert_eq!(config.listed(Role::Room).len(), 2);
    assert_eq!(config.dns_name(Role::Sync).unwrap().to_string(), "sync.svc:9000");
    let error = toml::from_str::<Config>("room = [\"https://room:1\"]").unwrap_err().to_string();
    assert!(error.contains("write it as http://host:port"), "{error}");
    assert!(toml::from_str::<Config>("rooms = []").is_err());
}

#[test]
fn addresses_are_checked_when_the_configuration_is_read() {
    for (text, shown) in [
        ("http://room-0:9000", "room-0:9000"),
        ("room-0.svc.:9000", "room-0.svc.:9000"),
        ("http://127.0.0.1:1/", "127.0.0.1:1"),
        ("[::1]:80", "[::1]:80"),
        ("_grpc._tcp.room.svc", "_grpc._tcp.room.svc:0"),
    ] {
        assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
    }
    for text in [
        "",
        "room",
        "room:",
        "room:0",
        "room:99999",
        "https://room:1",
        "http://room:1/path",
        "a b:1",
        "::1:80",
        "[x]:1",
    ] {
        assert!(text.parse::<Address>().is_err(), "{text}");
    }
}
