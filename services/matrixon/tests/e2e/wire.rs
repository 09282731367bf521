//! Requests that no client library can send: they are answered or cut, never left hanging.

use std::time::Duration;

use anyhow::{Context, Result};
use matrixon_testkit::tests;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::env::{Env, Shared};

tests![Env: impossible_lengths_are_refused, two_lengths_are_refused, impossible_chunks_are_refused, nonsense_is_refused,
    head_is_answered, half_a_request_does_no_harm, huge_headers_are_refused];

/// Sends bytes and returns the status of the answer, or None when the connection is cut.
async fn exchange(env: &Env, request: &[u8]) -> Result<Option<u16>> {
    let address = env.urls[0].trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await?;
    // the server may close while we still send: that is an answer too
    let _ = stream.write_all(request).await;
    let mut answer = [0; 12];
    let read = timeout(Duration::from_secs(45), stream.read_exact(&mut answer)).await.context("a hang")?;
    if read.is_err() {
        return Ok(None);
    }
    let text = std::str::from_utf8(&answer)?;
    Ok(Some(text.get(9..12).context("no status")?.parse()?))
}

/// 4xx, or cut; and the server lives.
async fn expect_refusal(env: &Env, request: &[u8]) -> Result<()> {
    let shown = String::from_utf8_lossy(&request[..request.len().min(200)]).into_owned();
    let status = exchange(env, request).await.with_context(|| shown.clone())?;
    assert!(status.is_none_or(|status| (400..500).contains(&status)), "{status:?} for {shown}");
    let status = exchange(env, b"GET /_matrix/client/versions HTTP/1.1\r\nHost: x\r\n\r\n").await?;
    assert_eq!(status, Some(200));
    Ok(())
}

const LOGIN: &str = "POST /_matrix/client/v3/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";

async fn impossible_lengths_are_refused(env: Shared) -> Result<()> {
    for length in ["100000000000000000000", "-1", "1e3", "0x10", "18446744073709551615", ""] {
        expect_refusal(&env, format!("{LOGIN}Content-Length: {length}\r\n\r\n{{}}").as_bytes()).await?;
    }
    Ok(())
}

async fn two_lengths_are_refused(env: Shared) -> Result<()> {
    expect_refusal(&env, format!("{LOGIN}Content-Length: 2\r\nContent-Length: 5\r\n\r\n{{}}").as_bytes()).await?;
    let both = format!("{LOGIN}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    expect_refusal(&env, both.as_bytes()).await
}

async fn impossible_chunks_are_refused(env: Shared) -> Result<()> {
    for chunk in ["1000000000000000000", "zz", "-1"] {
        let request = format!("{LOGIN}Transfer-Encoding: chunked\r\n\r\n{chunk}\r\n{{}}\r\n0\r\n\r\n");
        expect_refusal(&env, request.as_bytes()).await?;
    }
    Ok(())
}

async fn nonsense_is_refused(env: Shared) -> Result<()> {
    let requests: [&[u8]; 5] = [
        b"\x16\x03\x01\x00\x05hello\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nBad Header: x\r\n\r\n",
    ];
    for request in requests {
        expect_refusal(&env, request).await?;
    }
    Ok(())
}

async fn head_is_answered(env: Shared) -> Result<()> {
    let status = exchange(&env, b"HEAD /_matrix/client/versions HTTP/1.1\r\nHost: x\r\n\r\n").await?;
    assert!(status.is_some_and(|status| status < 500), "{status:?}");
    Ok(())
}

/// A body that never comes: the answer is an error or a cut, within the time that a request may take.
async fn half_a_request_does_no_harm(env: Shared) -> Result<()> {
    let status = exchange(&env, format!("{LOGIN}Content-Length: 1000\r\n\r\n{{\"type\":").as_bytes()).await?;
    assert!(status.is_none_or(|status| (400..500).contains(&status)), "{status:?}");
    Ok(())
}

async fn huge_headers_are_refused(env: Shared) -> Result<()> {
    let long = "x".repeat(2 << 20);
    expect_refusal(&env, format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {long}\r\n\r\n").as_bytes()).await?;
    expect_refusal(&env, format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await?;
    let many = "X-Many: y\r\n".repeat(5_000);
    expect_refusal(&env, format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n").as_bytes()).await
}
