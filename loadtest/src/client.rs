//! One user's keep-alive HTTP/1.1 connection to one gateway: as little work for the load generator as can be.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(90);

pub(crate) struct Client {
    addresses: Arc<[String]>,
    current: usize,
    connection: Option<SendRequest<Full<Bytes>>>,
    authorization: Option<String>,
}

impl Client {
    /// Talks to the `index`-th of these gateways (modulo their number).
    pub(crate) fn new(addresses: &Arc<[String]>, index: usize) -> Self {
        let current = index % addresses.len();
        Self { addresses: addresses.clone(), current, connection: None, authorization: None }
    }

    /// Goes on with the next gateway, as a proxy in front of them would.
    pub(crate) fn rotate(&mut self) {
        self.current = (self.current + 1) % self.addresses.len();
        self.reconnect();
    }

    pub(crate) fn reconnect(&mut self) {
        self.connection = None;
    }

    fn address(&self) -> &str {
        &self.addresses[self.current]
    }

    /// The same session on a new connection.
    pub(crate) fn to_other(&self, index: usize) -> Self {
        Self { authorization: self.authorization.clone(), ..Self::new(&self.addresses, index) }
    }

    pub(crate) fn set_token(&mut self, token: &str) {
        self.authorization = Some(format!("Bearer {token}"));
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn call(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let result = timeout(REQUEST_TIMEOUT, self.exchange(method, path, body)).await;
        match result {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                self.connection = None;
                Err(error)
            }
            Err(_) => {
                self.connection = None;
                bail!("no answer from {} within {REQUEST_TIMEOUT:?}: {path}", self.address())
            }
        }
    }

    async fn exchange(&mut self, method: Method, path: &str, body: Bytes) -> anyhow::Result<(StatusCode, Bytes)> {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, self.address());
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(body))?;
        let connection = self.connect().await?;
        let response = connection.send_request(request).await.with_context(|| path.to_owned())?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok((parts.status, body))
    }

    async fn connect(&mut self) -> anyhow::Result<&mut SendRequest<Full<Bytes>>> {
        let usable = match &mut self.connection {
            Some(connection) => !connection.is_closed() && connection.ready().await.is_ok(),
            None => false,
        };
        if !usable {
            let stream = TcpStream::connect(self.address()).await.with_context(|| self.address().to_owned())?;
            stream.set_nodelay(true)?;
            let (mut sender, driver) = handshake(TokioIo::new(stream)).await?;
            tokio::spawn(driver);
            sender.ready().await?;
            self.connection = Some(sender);
        }
        self.connection.as_mut().context("just connected")
    }

    /// A request that must succeed, its answer parsed.
    pub(crate) async fn json(&mut self, method: Method, path: &str, body: &Value) -> anyhow::Result<Value> {
        let bytes = if body.is_null() { Bytes::new() } else { Bytes::from(serde_json::to_vec(body)?) };
        let (status, answer) = self.call(method, path, bytes).await?;
        if !status.is_success() {
            bail!("{path}: {status} {}", String::from_utf8_lossy(&answer));
        }
        Ok(serde_json::from_slice(&answer)?)
    }
}
