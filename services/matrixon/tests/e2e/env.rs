//! What every test stands on: the cluster, users, rooms, and ways to look at answers.

use std::{process::Command, sync::Arc, time::Instant};

use anyhow::{Context as _, Result, ensure};
use matrixon_testkit::{
    Cluster,
    client::{Client, Method, PASSWORD, Reply, unique},
    cluster::{Options, Profile, Topology},
};
use serde_json::{Value, json};

/// The secret of `gateway.admin_token` in every cluster of this suite.
pub(crate) const ADMIN_TOKEN: &str = "the secret of the machine that administers";

pub(crate) type Shared = Arc<Env>;

pub(crate) struct Env {
    pub urls: Vec<String>,
    /// None when the server was there before us.
    pub cluster: Option<Cluster>,
}

impl Env {
    pub(crate) fn start(topology: Topology) -> Result<Self> {
        // guests, an address for what tells one, and nothing that a test would have to wait for
        let options = Self::options()
            .with_profile(Profile::Load)
            .with("auth.guest_registration", true)
            .with("auth.last_seen_seconds", 1)
            .with("gateway.sighting_seconds", 1)
            .with("server.client_base_url", "https://matrixon.localhost");
        Self::start_with(topology, &options)
    }

    pub(crate) fn start_with(topology: Topology, options: &Options) -> Result<Self> {
        let cluster = Cluster::start(topology, options)?;
        Ok(Self { urls: cluster.client_urls().to_vec(), cluster: Some(cluster) })
    }

    pub(crate) fn options() -> Options {
        Options::default()
            .with_binary(env!("CARGO_BIN_EXE_matrixon"))
            .with("gateway.admin_token", ADMIN_TOKEN)
            // all of them share two cores: a moment without any is no outage of the cache
            .with("cache.timeout_ms", 5_000)
    }

    pub(crate) fn given_urls() -> Option<String> {
        std::env::var("MATRIXON_E2E_URLS").ok()
    }

    pub(crate) fn at(urls: &str) -> Self {
        Self { urls: urls.split(',').map(ToOwned::to_owned).collect(), cluster: None }
    }

    /// Nobody, at alternating gateways.
    pub(crate) fn nobody(&self) -> Client {
        Client::new(&self.urls).expect("a client needs no network")
    }

    /// A new account.
    pub(crate) async fn user(&self, name: &str) -> Result<Client> {
        self.nobody().register(&unique(name)).await
    }

    /// A new administrator, made by the command line.
    pub(crate) async fn admin(&self) -> Result<Client> {
        let cluster = self.cluster.as_ref().context("administrators are made where the cluster is ours")?;
        let state = cluster.state()?;
        let process = state.processes.first().context("no process")?;
        let name = unique("admin");
        // the program and `--config FILE`
        let mut command = Command::new(&process.command[0]);
        command.args(&process.command[1..3]).args(["user", "create", &name, "--admin", "--password", PASSWORD]);
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.nobody().login(&name).await
    }

    /// A new guest.
    pub(crate) async fn guest(&self) -> Result<Client> {
        let nobody = self.nobody();
        let body = nobody.post("/_matrix/client/v3/register?kind=guest", &json!({})).await?;
        nobody.session(&body)
    }

    /// Two new accounts.
    pub(crate) async fn pair(&self) -> Result<(Client, Client)> {
        Ok((self.user("alice").await?, self.user("bob").await?))
    }

    /// A private room of the first, in which all the others are.
    pub(crate) async fn room(&self, owner: &Client, others: &[&Client]) -> Result<String> {
        let invite: Vec<&str> = others.iter().map(|other| other.user_id.as_str()).collect();
        let room = owner.create_room(&json!({ "preset": "private_chat", "invite": invite })).await?;
        for other in others {
            other.join(&room).await?;
        }
        Ok(room)
    }
}

/// The stage of user-interactive authentication that shows the password.
pub(crate) fn password_auth(client: &Client) -> Value {
    let identifier = json!({ "type": "m.id.user", "user": client.user_id });
    json!({ "type": "m.login.password", "identifier": identifier, "password": PASSWORD })
}

/// The part of the user's id after the colon.
pub(crate) fn server_name(client: &Client) -> &str {
    client.user_id.split_once(':').map_or("", |(_, name)| name)
}

/// The answer must be this error, in Matrix's form.
#[track_caller]
pub(crate) fn expect_error(reply: &Reply, status: u16, errcode: &str) {
    assert_eq!((reply.status, reply.errcode()), (status, errcode), "{}", reply.text);
    assert!(reply.body["error"].is_string(), "no message for people: {}", reply.text);
}

/// What ends sessions takes effect at every gateway in time: a request that begins after `end` is not served any more.
pub(crate) async fn expect_unserved(client: &Client, end: Instant) -> Result<()> {
    for gateway in 0..client.gateways() {
        let pinned = client.pinned(gateway);
        loop {
            let asked = Instant::now();
            if pinned.request(Method::GET, "/_matrix/client/v3/account/whoami", None).await?.status != 200 {
                break;
            }
            assert!(asked < end, "gateway {gateway} still serves {}", client.user_id);
        }
    }
    Ok(())
}

/// The array at a JSON pointer; empty when it is not there.
pub(crate) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The room's part of a `/sync` answer.
pub(crate) fn joined<'a>(sync: &'a Value, room: &str) -> &'a Value {
    &sync["rooms"]["join"][room]
}

/// The timeline of a room in a `/sync` answer.
pub(crate) fn timeline<'a>(sync: &'a Value, room: &str) -> &'a [Value] {
    list(joined(sync, room), "/timeline/events")
}

/// The texts of the messages among events.
pub(crate) fn bodies(events: &[Value]) -> Vec<&str> {
    let messages = events.iter().filter(|event| event["type"] == "m.room.message");
    messages.filter_map(|event| event["content"]["body"].as_str()).collect()
}

pub(crate) fn event_ids(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["event_id"].as_str()).collect()
}

/// The state event of this type and key among events.
pub(crate) fn find_state<'a>(events: &'a [Value], kind: &str, key: &str) -> Option<&'a Value> {
    events.iter().find(|event| event["type"] == kind && event["state_key"] == key)
}

/// The whole history of a room as pages of `limit`, in the order of `direction`.
pub(crate) async fn read_history(client: &Client, room: &str, direction: char, limit: u32) -> Result<Vec<Value>> {
    let (mut events, mut from) = (Vec::new(), None::<String>);
    for _ in 0..1_000 {
        let mut page = client.messages(room, direction, from.as_deref(), limit).await?;
        let chunk = page["chunk"].take();
        let chunk = chunk.as_array().cloned().unwrap_or_default();
        ensure!(chunk.len() <= limit as usize, "{} events on a page of {limit}", chunk.len());
        events.extend(chunk);
        match page["end"].as_str() {
            None => return Ok(events),
            Some(end) => from = Some(end.to_owned()),
        }
    }
    anyhow::bail!("the history does not end")
}

/// The current token of a client.
pub(crate) async fn sync_token(client: &Client) -> Result<String> {
    let body = client.get("/_matrix/client/v3/sync?timeout=0").await?;
    Ok(body["next_batch"].as_str().unwrap_or_default().to_owned())
}
