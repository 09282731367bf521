//! The edge on real sockets: protocols, TLS and bytes that are no HTTP.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use matrixon_runtime::{
    config::ListenConfig,
    serve::{self, Accept, ServeOptions},
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::backend::Fixture;
use crate::tls::Tls;

async fn listen<A: Accept>(fixture: &Fixture, acceptor: A) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let options = ServeOptions::public("gateway", fixture.shutdown.clone()).acceptor(acceptor);
    tokio::spawn(serve::run(listener, fixture.client(), options));
    address
}

async fn raw(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the connection stayed open after {request:?}");
    String::from_utf8_lossy(&answer).into_owned()
}

fn echo(headers: &str, body: &str) -> String {
    format!("POST /_matrix/client/v3/echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n{body}")
}

#[tokio::test]
async fn broken_http_is_a_4xx_and_no_hang() {
    let fixture = Fixture::start().await;
    let address = listen(&fixture, serve::Plain).await;
    let cases = [
        echo("Content-Length: 100000000000000000000\r\n", "{}"),
        echo("Content-Length: -1\r\n", "{}"),
        echo("Content-Length: 2\r\nContent-Length: 3\r\n", "{}"),
        echo("Transfer-Encoding: chunked\r\n", "40000000000000000000\r\n{}\r\n0\r\n\r\n"),
        echo("Transfer-Encoding: chunked\r\n", "zz\r\n{}\r\n0\r\n\r\n"),
        "GET /\u{0} HTTP/1.1\r\n\r\n".to_owned(),
        "nonsense\r\n\r\n".to_owned(),
        format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(100_000)),
    ];
    for case in cases {
        let answer = raw(address, &case).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{:?} -> {answer:?}", &case[..case.len().min(120)]);
    }
    let smuggled =
        raw(address, &echo("Content-Length: 7\r\nTransfer-Encoding: chunked\r\n", "2\r\n{}\r\n0\r\n\r\n")).await;
    assert!(!smuggled.starts_with("HTTP/1.1 5"), "{smuggled}");
    let good = raw(address, &echo("Content-Length: 2\r\n", "{}")).await;
    assert!(good.starts_with("HTTP/1.1 200"), "{good}");
}

/// A body that comes after its request was refused must not end the connection under the next request.
#[tokio::test]
async fn a_refused_request_does_not_break_its_connection() {
    let fixture = Fixture::start().await;
    let address = listen(&fixture, serve::Plain).await;
    let refused = [
        ("GET /_matrix/client/v3/account/whoami", "401"),
        ("PUT /_matrix/client/v3/echo", "405"),
        ("POST /_matrix/client/v3/nothing/here", "404"),
        ("POST /_matrix/client/versions", "405"),
    ];
    for (line, status) in refused {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("{line} HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..300 {
            stream.write_all(&[b'x'; 1_000]).await.unwrap();
            tokio::task::yield_now().await;
        }
        stream.write_all(echo("Content-Length: 2\r\n", "{}").as_bytes()).await.unwrap();
        let mut answers = Vec::new();
        stream.read_to_end(&mut answers).await.unwrap();
        let answers = String::from_utf8_lossy(&answers);
        assert!(answers.starts_with(&format!("HTTP/1.1 {status} ")), "{line}: {answers}");
        assert!(answers.contains("HTTP/1.1 200 "), "{line}: {answers}");
    }
    // who announces a body and waits to be asked for it is told that nobody will
    let head = "GET /_matrix/client/v3/account/whoami HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n";
    let answer = raw(address, head).await;
    assert!(
        answer.starts_with("HTTP/1.1 401") && answer.to_ascii_lowercase().contains("connection: close"),
        "{answer}"
    );
}

#[tokio::test]
async fn http2_with_prior_knowledge_works() {
    let fixture = Fixture::start().await;
    let address = listen(&fixture, serve::Plain).await;
    let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("http://x/_matrix/client/v3/account/whoami").header("authorization", "Bearer good");
    let response = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, Version::HTTP_2));
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(body.starts_with(b"{\"user_id\":\"@alice:x\""), "{body:?}");
}

fn listen_config(name: &str) -> ListenConfig {
    let file =
        |extension| format!("{}/testdata/{name}.{extension}", std::env::var("CARGO_MANIFEST_DIR").unwrap()).into();
    ListenConfig { tls_certificate: Some(file("crt")), tls_key: Some(file("key")), ..ListenConfig::default() }
}

/// Connects trusting only the named certificate; gives the protocol that was agreed on.
async fn handshake(address: std::net::SocketAddr, trusted: &str) -> Result<Vec<u8>, std::io::Error> {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(listen_config(trusted).tls_certificate.unwrap()).unwrap();
    roots.add(certificate).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = TcpStream::connect(address).await?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await?;
    Ok(stream.get_ref().1.alpn_protocol().unwrap_or_default().to_vec())
}

#[tokio::test]
async fn tls_is_served_and_its_certificate_replaced_while_running() {
    let fixture = Fixture::start().await;
    let tls = Tls::load(&listen_config("first")).unwrap().unwrap();
    let address = listen(&fixture, tls.clone()).await;
    assert_eq!(handshake(address, "first").await.unwrap(), b"h2");
    assert!(handshake(address, "second").await.is_err());
    tls.reload(&listen_config("second")).unwrap();
    assert_eq!(handshake(address, "second").await.unwrap(), b"h2");
    assert!(handshake(address, "first").await.is_err());
}

#[test]
fn a_wrong_tls_configuration_says_what_is_wrong() {
    assert!(Tls::load(&ListenConfig::default()).unwrap().is_none());
    let half = ListenConfig { tls_key: None, ..listen_config("first") };
    assert!(Tls::load(&half).err().unwrap().to_string().contains("belong together"));
    let missing = ListenConfig { tls_key: Some("/nonexistent".into()), ..listen_config("first") };
    assert!(Tls::load(&missing).err().unwrap().to_string().contains("`listen.tls_key` is `/nonexistent`"));
    let mixed = ListenConfig { tls_key: listen_config("second").tls_key, ..listen_config("first") };
    assert!(Tls::load(&mixed).is_err());
}
