//! A client for plain HTTP inside a cluster.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};
use axum::{
    body::Bytes,
    http::{Method, Request, header},
};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

/// Metrics of a busy process are some 100 KiB.
const LARGEST_ANSWER: usize = 16 << 20;

pub(super) struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
}

pub(super) struct Reply {
    pub(super) status: u16,
    /// Null when the body is not JSON.
    pub(super) body: Value,
    pub(super) text: String,
    request: String,
}

impl Reply {
    /// The body of a 200.
    pub(super) fn ok(self) -> Result<Value> {
        ensure!(self.status == 200, "{}: {} {}", self.request, self.status, self.text);
        Ok(self.body)
    }
}

impl Http {
    pub(super) fn new(url: &str) -> Result<Self> {
        ensure!(url.starts_with("http://"), "`{url}` must begin with http://: the selftest runs beside the server");
        let client = Client::builder(TokioExecutor::new()).build_http();
        Ok(Self { client, url: url.trim_end_matches('/').to_owned() })
    }

    pub(super) async fn get(&self, path: &str, token: Option<&str>) -> Result<Reply> {
        self.send(Method::GET, path, token, None).await
    }

    pub(super) async fn post(&self, path: &str, token: Option<&str>, body: &Value) -> Result<Reply> {
        self.send(Method::POST, path, token, Some(body)).await
    }

    pub(super) async fn put(&self, path: &str, token: Option<&str>, body: &Value) -> Result<Reply> {
        self.send(Method::PUT, path, token, Some(body)).await
    }

    async fn send(&self, method: Method, path: &str, token: Option<&str>, body: Option<&Value>) -> Result<Reply> {
        let described = format!("{method} {}", path.split('?').next().unwrap_or(path));
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let answer = self.client.request(request.body(Full::new(Bytes::from(body)))?).await;
        let answer = answer.with_context(|| format!("{described} at {}", self.url))?;
        let status = answer.status().as_u16();
        let bytes =
            Limited::new(answer.into_body(), LARGEST_ANSWER).collect().await.map_err(anyhow::Error::from_boxed)?;
        let text = String::from_utf8_lossy(&bytes.to_bytes()).into_owned();
        let body = serde_json::from_str(&text).unwrap_or_default();
        Ok(Reply { status, body, text, request: described })
    }
}

/// Percent-encodes a path segment or a query value.
pub(super) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _infallible = write!(out, "%{byte:02X}");
        }
    }
    out
}
