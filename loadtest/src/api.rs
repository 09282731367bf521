//! The few Matrix requests that the scenarios are made of.

use std::{
    fmt::Write as _,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::Context as _;
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use crate::{client::Client, target::Target};

pub(crate) const PASSWORD: &str = "a long enough password";

/// A registered user with a connection of its own.
pub(crate) struct User {
    pub(crate) user_id: String,
    pub(crate) client: Client,
    txn: u64,
}

/// Names that no earlier run on this server used: a random number a run.
fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    static RUN: LazyLock<u32> = LazyLock::new(rand::random);
    format!("load-{:x}-{}", *RUN, COUNT.fetch_add(1, Ordering::Relaxed))
}

fn text(value: &Value, member: &str) -> anyhow::Result<String> {
    value[member].as_str().map(str::to_owned).with_context(|| format!("no `{member}` in {value}"))
}

/// Percent-encodes an identifier for a path.
pub(crate) fn encode(id: &str) -> String {
    let mut out = String::with_capacity(id.len() + 8);
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte as char);
        } else {
            write!(out, "%{byte:02X}").expect("writing to a string");
        }
    }
    out
}

impl User {
    /// Registers on the `index`-th gateway (modulo their number) and stays there.
    pub(crate) async fn register(target: &Target, index: usize) -> anyhow::Result<Self> {
        let mut client = Client::new(&target.addresses, index);
        let body = json!({ "username": unique(), "password": PASSWORD, "auth": { "type": "m.login.dummy" } });
        let answer = client.json(Method::POST, "/_matrix/client/v3/register", &body).await?;
        client.set_token(&text(&answer, "access_token")?);
        Ok(Self { user_id: text(&answer, "user_id")?, client, txn: 0 })
    }

    /// The same session with a connection of its own to the `index`-th gateway.
    pub(crate) fn twin(&self, index: usize) -> Self {
        Self { user_id: self.user_id.clone(), client: self.client.to_other(index), txn: self.txn }
    }

    pub(crate) async fn register_many(target: &Target, count: usize) -> anyhow::Result<Vec<Self>> {
        let mut users = Vec::with_capacity(count);
        for index in 0..count {
            users.push(Self::register(target, index).await?);
        }
        Ok(users)
    }

    pub(crate) async fn create_room(&mut self, body: &Value) -> anyhow::Result<String> {
        text(&self.client.json(Method::POST, "/_matrix/client/v3/createRoom", body).await?, "room_id")
    }

    pub(crate) async fn create_public_room(&mut self) -> anyhow::Result<String> {
        self.create_room(&json!({ "preset": "public_chat" })).await
    }

    pub(crate) async fn join(&mut self, room_id: &str) -> anyhow::Result<()> {
        let path = format!("/_matrix/client/v3/join/{}", encode(room_id));
        self.client.json(Method::POST, &path, &json!({})).await.map(|_| ())
    }

    /// Sends a text message and returns its event id.
    pub(crate) async fn send(&mut self, room_id: &str, body: &str) -> anyhow::Result<String> {
        self.txn += 1;
        self.send_again(room_id, body).await
    }

    /// The same with the transaction id of the last one.
    pub(crate) async fn send_again(&mut self, room_id: &str, body: &str) -> anyhow::Result<String> {
        let path = format!(
            "/_matrix/client/v3/rooms/{}/send/m.room.message/{}-{}",
            encode(room_id),
            std::process::id(),
            self.txn
        );
        let content = json!({ "msgtype": "m.text", "body": body });
        text(&self.client.json(Method::PUT, &path, &content).await?, "event_id")
    }

    /// `/sync`; returns the raw answer.
    pub(crate) async fn sync(
        &mut self,
        since: Option<&str>,
        timeout_ms: u64,
        filter: Option<&str>,
    ) -> anyhow::Result<Bytes> {
        let mut path = format!("/_matrix/client/v3/sync?timeout={timeout_ms}");
        if let Some(since) = since {
            write!(path, "&since={}", encode(since))?;
        }
        if let Some(filter) = filter {
            write!(path, "&filter={}", encode(filter))?;
        }
        let (status, body) = self.client.call(Method::GET, &path, Bytes::new()).await?;
        anyhow::ensure!(status.is_success(), "sync: {status} {}", String::from_utf8_lossy(&body));
        Ok(body)
    }

    pub(crate) async fn next_batch(&mut self) -> anyhow::Result<String> {
        next_batch(&self.sync(None, 0, None).await?)
    }
}

pub(crate) fn next_batch(sync: &[u8]) -> anyhow::Result<String> {
    #[derive(serde::Deserialize)]
    struct Answer {
        next_batch: String,
    }
    Ok(serde_json::from_slice::<Answer>(sync)?.next_batch)
}
