//! A small Matrix client for end-to-end tests: it knows paths and tokens, and little else on purpose.
//!
//! With several addresses every request goes to the next gateway, as behind a load balancer that is
//! not sticky: what one replica has answered must hold at the next.

mod sync_query;

use std::{
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail};
pub use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

pub use self::sync_query::SyncQuery;

/// Longer than any answer may take, so that a hang is a failure and not a stuck test run.
const LIMIT: Duration = Duration::from_mins(1);

pub const PASSWORD: &str = "correct horse battery staple";

/// An HTTP client under construction. In one build with the server reqwest knows TLS, and wants to be told by whom.
pub fn http() -> reqwest::ClientBuilder {
    let _installed = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
}

/// An account's session, or nobody's.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    urls: Arc<[String]>,
    turn: Arc<AtomicUsize>,
    pub user_id: String,
    pub device_id: String,
    pub token: Option<String>,
}

/// What came back, whatever it was.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    /// Null when the body is not JSON.
    pub body: Value,
    pub text: String,
}

impl Reply {
    pub fn errcode(&self) -> &str {
        self.body["errcode"].as_str().unwrap_or("")
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }
}

impl Client {
    /// Nobody yet; alternates over `urls`.
    pub fn new(urls: &[String]) -> Result<Self> {
        let http = http().timeout(LIMIT).build()?;
        let (user_id, device_id) = (String::new(), String::new());
        Ok(Self { http, urls: urls.into(), turn: Arc::default(), user_id, device_id, token: None })
    }

    /// The same session, always at one gateway.
    #[must_use]
    pub fn pinned(&self, gateway: usize) -> Self {
        let url = self.urls[gateway % self.urls.len()].clone();
        Self { urls: Arc::from([url]), ..self.clone() }
    }

    /// The same, with another access token.
    #[must_use]
    pub fn with_token(&self, token: impl Into<String>) -> Self {
        Self { token: Some(token.into()), ..self.clone() }
    }

    pub fn gateways(&self) -> usize {
        self.urls.len()
    }

    pub fn localpart(&self) -> &str {
        self.user_id.trim_start_matches('@').split(':').next().unwrap_or("")
    }

    pub fn next_url(&self) -> &str {
        &self.urls[self.turn.fetch_add(1, Ordering::Relaxed) % self.urls.len()]
    }

    /// Any request, with the session's token; errors only when there is no HTTP answer.
    pub async fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Reply> {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.next_url()));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        Self::answer(request).await.with_context(|| format!("{method} {path}"))
    }

    /// A body as it is, for requests that are no JSON.
    pub async fn request_raw(&self, method: Method, path: &str, kind: &str, body: Vec<u8>) -> Result<Reply> {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.next_url()));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let request = request.header("content-type", kind).body(body);
        Self::answer(request).await.with_context(|| format!("{method} {path}"))
    }

    /// A request with headers of its own, and a body as it is.
    pub async fn request_with(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Reply> {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.next_url()));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_empty() {
            request = request.body(body);
        }
        Self::answer(request).await.with_context(|| format!("{method} {path}"))
    }

    async fn answer(request: reqwest::RequestBuilder) -> Result<Reply> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Reply { status, headers, body, text })
    }

    /// A request that must succeed; its body.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let reply = self.request(method.clone(), path, body).await?;
        if reply.status != 200 {
            bail!("{method} {path} as {:?}: {} {}", self.user_id, reply.status, reply.text);
        }
        Ok(reply.body)
    }

    pub async fn get(&self, path: &str) -> Result<Value> {
        self.call(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.call(Method::POST, path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Result<Value> {
        self.call(Method::PUT, path, Some(body)).await
    }

    /// A new account through `m.login.dummy`, and its first session.
    pub async fn register(&self, localpart: &str) -> Result<Self> {
        let path = "/_matrix/client/v3/register";
        let mut body = json!({ "username": localpart, "password": PASSWORD });
        let mut reply = self.request(Method::POST, path, Some(&body)).await?;
        if reply.status == 401 {
            body["auth"] = json!({ "type": "m.login.dummy", "session": reply.body["session"] });
            reply = self.request(Method::POST, path, Some(&body)).await?;
        }
        if reply.status != 200 {
            bail!("registering {localpart}: {} {}", reply.status, reply.text);
        }
        self.session(&reply.body)
    }

    /// Another session of an account.
    pub async fn login(&self, localpart: &str) -> Result<Self> {
        self.login_as(localpart, PASSWORD).await
    }

    /// Another session, with another password.
    pub async fn login_as(&self, localpart: &str, password: &str) -> Result<Self> {
        let identifier = json!({ "type": "m.id.user", "user": localpart });
        let body = json!({ "type": "m.login.password", "identifier": identifier, "password": password });
        self.session(&self.post("/_matrix/client/v3/login", &body).await?)
    }

    /// The session that a registration or a log-in has answered with.
    pub fn session(&self, body: &Value) -> Result<Self> {
        let text = |name: &str| {
            let value = body[name].as_str().with_context(|| format!("no {name} in {body}"))?;
            anyhow::Ok(value.to_owned())
        };
        let (user_id, device_id) = (text("user_id")?, text("device_id")?);
        Ok(Self { user_id, device_id, token: Some(text("access_token")?), ..self.clone() })
    }

    /// Creates a room; returns its id.
    pub async fn create_room(&self, body: &Value) -> Result<String> {
        let reply = self.post("/_matrix/client/v3/createRoom", body).await?;
        Ok(reply["room_id"].as_str().context("no room_id")?.to_owned())
    }

    pub async fn invite(&self, room: &str, user_id: &str) -> Result<Value> {
        self.post(&room_path(room, "invite"), &json!({ "user_id": user_id })).await
    }

    pub async fn join(&self, room: &str) -> Result<Value> {
        self.post(&format!("/_matrix/client/v3/join/{}", escape(room)), &json!({})).await
    }

    pub async fn leave(&self, room: &str) -> Result<Value> {
        self.post(&room_path(room, "leave"), &json!({})).await
    }

    /// Sends a text message; returns its event id.
    pub async fn send(&self, room: &str, text: &str) -> Result<String> {
        self.send_content(room, &next_txn_id(), &json!({ "msgtype": "m.text", "body": text })).await
    }

    pub async fn send_content(&self, room: &str, txn_id: &str, content: &Value) -> Result<String> {
        let path = room_path(room, &format!("send/m.room.message/{}", escape(txn_id)));
        let reply = self.put(&path, content).await?;
        Ok(reply["event_id"].as_str().context("no event_id")?.to_owned())
    }

    pub async fn set_state(&self, room: &str, kind: &str, key: &str, content: &Value) -> Result<String> {
        let reply = self.put(&room_path(room, &format!("state/{}/{}", escape(kind), escape(key))), content).await?;
        Ok(reply["event_id"].as_str().context("no event_id")?.to_owned())
    }

    pub async fn sync(&self, query: &SyncQuery) -> Result<Value> {
        self.get(&query.to_path()).await
    }

    /// One page of history, newest first when `direction` is `b`.
    pub async fn messages(&self, room: &str, direction: char, from: Option<&str>, limit: u32) -> Result<Value> {
        let mut path = room_path(room, &format!("messages?dir={direction}&limit={limit}"));
        if let Some(from) = from {
            let _ = write!(path, "&from={}", escape(from));
        }
        self.get(&path).await
    }

    /// Syncs until `wanted` finds what it looks for, at most 30 seconds. Returns that and the last token.
    pub async fn sync_until<T>(
        &self,
        since: Option<&str>,
        mut wanted: impl FnMut(&Value) -> Option<T>,
    ) -> Result<(T, String)> {
        let end = std::time::Instant::now() + Duration::from_secs(30);
        let mut query = SyncQuery { since: since.map(ToOwned::to_owned), ..SyncQuery::default() };
        loop {
            let body = self.sync(&query).await?;
            let token = body["next_batch"].as_str().context("no next_batch")?.to_owned();
            if let Some(found) = wanted(&body) {
                return Ok((found, token));
            }
            if std::time::Instant::now() > end {
                bail!("{} never saw it in /sync; the last answer: {body}", self.user_id);
            }
            query = SyncQuery::since(&token).wait(Duration::from_secs(5));
        }
    }
}

/// `/_matrix/client/v3/rooms/{room}/{rest}`
pub fn room_path(room: &str, rest: &str) -> String {
    format!("/_matrix/client/v3/rooms/{}/{rest}", escape(room))
}

/// Percent-encodes a path segment or a query value.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// A transaction id that this process has not used.
pub fn next_txn_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A localpart that nobody has.
pub fn unique(prefix: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{prefix}-{:06x}{}", rand::random::<u32>() & 0xff_ffff, NEXT.fetch_add(1, Ordering::Relaxed))
}
