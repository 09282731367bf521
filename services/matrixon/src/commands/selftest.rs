//! `matrixon selftest`: one message from one account to another, through the client API, and the probes of every process.

mod http;

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use matrixon_proto::admin::v1::{
    CreateRegistrationTokenRequest, RegistrationToken, registration_tokens_client::RegistrationTokensClient,
};
use matrixon_runtime::{clock::Clock, random};
use serde_json::{Value, json};
use tokio::{net::lookup_host, time::timeout};

use self::http::{Http, Reply, encode};
use super::{
    admin::{Connection, call},
    block_on, show,
};
use crate::{
    cli::{AdminArgs, SelftestArgs},
    failure::Failure,
};

const V3: &str = "/_matrix/client/v3";
/// How long the receiver's `/sync` may park, milliseconds.
const POLL_MS: u64 = 5_000;
/// A token made for this run is worthless afterwards.
const TOKEN_SECONDS: i64 = 600;

pub(crate) fn run(path: Option<&Path>, args: SelftestArgs) -> Result<()> {
    let limit = Duration::from_secs(args.timeout);
    let all = async {
        timeout(limit, test(path, args)).await.with_context(|| format!("not finished within {} s", limit.as_secs()))?
    };
    block_on(all).map_err(|error| Failure::failed(format!("the selftest failed: {error:#}")).into())
}

async fn test(path: Option<&Path>, args: SelftestArgs) -> Result<()> {
    let http = Http::new(&args.url)?;
    let versions = http.get("/_matrix/client/versions", None).await?.ok()?;
    let newest = versions["versions"].as_array().and_then(|all| all.last()).context("no versions")?.clone();
    show(format_args!("ok {} speaks the client API up to {newest}", args.url));
    let mut token = args.registration_token;
    let sender = register(&http, path, &mut token).await?;
    let receiver = register(&http, path, &mut token).await?;
    show(format_args!("ok registered {} and {}", sender.user_id, receiver.user_id));
    deliver(&http, &sender, &receiver).await?;
    for internal in &args.internal {
        check_processes(internal).await.with_context(|| internal.clone())?;
    }
    for session in [sender, receiver] {
        http.post(&format!("{V3}/logout"), Some(&session.token), &json!({})).await?.ok()?;
    }
    show("ok logged out");
    Ok(())
}

struct Session {
    user_id: String,
    token: String,
}

/// Registers in the first way that the server offers and that needs no person.
async fn register(http: &Http, path: Option<&Path>, token: &mut Option<String>) -> Result<Session> {
    let url = format!("{V3}/register");
    let name = format!("selftest-{}", random::id(10).to_lowercase());
    let mut body = json!({ "username": name, "password": random::id(32), "initial_device_display_name": "selftest" });
    let first = http.post(&url, None, &body).await?;
    let offers = |stage: &str| {
        let flows = first.body["flows"].as_array().map_or(&[][..], Vec::as_slice);
        flows.iter().any(|flow| flow["stages"] == json!([stage]))
    };
    let answer = if first.status == 401 {
        let session = &first.body["session"];
        body["auth"] = if offers("m.login.dummy") {
            json!({ "type": "m.login.dummy", "session": session })
        } else if offers("m.login.registration_token") {
            let token = match token {
                Some(token) => token.clone(),
                None => token.insert(make_token(path).await?).clone(),
            };
            json!({ "type": "m.login.registration_token", "token": token, "session": session })
        } else {
            bail!("nobody can register without a person's help: {}", first.body)
        };
        http.post(&url, None, &body).await?
    } else {
        first
    };
    let body = answer.ok().context("registering")?;
    Ok(Session { user_id: text(&body, "user_id")?, token: text(&body, "access_token")? })
}

/// Made on the database of the configuration.
async fn make_token(path: Option<&Path>) -> Result<String> {
    let connection = Connection::open(path, &AdminArgs::default()).await.context("a registration token is needed")?;
    let expires_ts = Some(Clock::system().now_ms() + TOKEN_SECONDS * 1_000);
    let request =
        CreateRegistrationTokenRequest { token: None, uses_allowed: Some(2), expires_ts, grants_admin: false };
    let made: RegistrationToken = call!(connection, RegistrationTokensClient.create, request)?;
    connection.close().await;
    Ok(made.token)
}

/// The receiver waits in a long poll while the sender sends, and sees the message exactly once.
async fn deliver(http: &Http, sender: &Session, receiver: &Session) -> Result<()> {
    let room = json!({ "preset": "private_chat", "invite": [receiver.user_id] });
    let created = http.post(&format!("{V3}/createRoom"), Some(&sender.token), &room).await?.ok()?;
    let room_id = text(&created, "room_id")?;
    let path = format!("{V3}/join/{}", encode(&room_id));
    http.post(&path, Some(&receiver.token), &json!({})).await?.ok()?;
    let first = http.get(&format!("{V3}/sync"), Some(&receiver.token)).await?.ok()?;
    ensure!(first["rooms"]["join"][&room_id].is_object(), "the joined room is not in /sync");
    let since = text(&first, "next_batch")?;
    let path = format!("{V3}/rooms/{}/send/m.room.message/{}", encode(&room_id), random::id(12));
    let message = json!({ "msgtype": "m.text", "body": "selftest" });
    let send = async { text(&http.put(&path, Some(&sender.token), &message).await?.ok()?, "event_id") };
    let (event_id, seen) = tokio::try_join!(send, receive(http, receiver, &room_id, since))?;
    ensure!(seen == [event_id.as_str()], "sent {event_id}, received {seen:?}");
    show(format_args!("ok sent and received {event_id}"));
    let repeated = http.put(&path, Some(&sender.token), &message).await?.ok()?;
    ensure!(repeated["event_id"] == event_id.as_str(), "a repeated send made another event");
    show("ok a repeated send is the same event");
    for session in [sender, receiver] {
        let path = format!("{V3}/rooms/{}/leave", encode(&room_id));
        http.post(&path, Some(&session.token), &json!({})).await?.ok()?;
    }
    Ok(())
}

/// Long-polls until messages come; their event ids.
async fn receive(http: &Http, session: &Session, room_id: &str, mut since: String) -> Result<Vec<String>> {
    loop {
        let path = format!("{V3}/sync?timeout={POLL_MS}&since={}", encode(&since));
        let body = http.get(&path, Some(&session.token)).await?.ok()?;
        since = text(&body, "next_batch")?;
        let events = body["rooms"]["join"][room_id]["timeline"]["events"].as_array();
        let messages: Vec<String> = events
            .into_iter()
            .flatten()
            .filter(|event| event["type"] == "m.room.message")
            .filter_map(|event| event["event_id"].as_str().map(str::to_owned))
            .collect();
        if !messages.is_empty() {
            return Ok(messages);
        }
    }
}

/// Every process behind a name is ready and exports its metrics.
async fn check_processes(internal: &str) -> Result<()> {
    let mut addresses: Vec<_> = lookup_host(internal).await?.collect();
    addresses.sort_unstable();
    addresses.dedup();
    for address in &addresses {
        let http = Http::new(&format!("http://{address}"))?;
        let ready = http.get("/readyz", None).await?;
        ensure!(ready.status == 200, "{address} is not ready: {}", ready.text.trim());
        let Reply { status, text, .. } = http.get("/metrics", None).await?;
        ensure!(status == 200 && text.contains("matrixon_build_info{"), "{address} exports no metrics");
    }
    show(format_args!("ok {} processes behind {internal} are ready and export metrics", addresses.len()));
    Ok(())
}

fn text(body: &Value, member: &str) -> Result<String> {
    Ok(body[member].as_str().with_context(|| format!("no `{member}` in {body}"))?.to_owned())
}
