//! Messages from device to device while things break: each is delivered, in order, and after its acknowledgement not again.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use matrixon_testkit::client::{Client, Method, Reply, escape, unique};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet};

use crate::network::Network;

const SENDERS: usize = 4;
/// How long one request may take, with all its attempts.
const INSISTENCE: Duration = Duration::from_mins(1);
/// How long a reader may take for the rest after the last message.
const PATIENCE: Duration = Duration::from_mins(2);
/// Between two requests of one sender, so that all of it takes long enough for several disturbances.
const PAUSE: Duration = Duration::from_millis(60);
const RETRY: Duration = Duration::from_millis(50);

/// How much: 10 devices and 8,000 messages, or `MATRIXON_TO_DEVICE_DEVICES` and `MATRIXON_TO_DEVICE_MESSAGES`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amount {
    devices: usize,
    /// Messages of one sender to one device.
    rounds: i64,
}

impl Amount {
    fn from_env() -> Self {
        let number =
            |name: &str, default: usize| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
        let devices = number("MATRIXON_TO_DEVICE_DEVICES", 10).max(1);
        let messages = number("MATRIXON_TO_DEVICE_MESSAGES", 8_000);
        Self { devices, rounds: messages.div_ceil(devices * SENDERS) as i64 }
    }
}

/// Senders send and readers read while `disturb` does its worst, again and again until all is sent.
pub(crate) async fn survive<F: Future<Output = Result<()>> + Send>(
    network: Arc<Network>,
    disturb: impl Fn(Arc<Network>, usize) -> F,
) -> Result<()> {
    let amount = Amount::from_env();
    let (mut readers, mut senders) = (JoinSet::new(), JoinSet::new());
    let mut targets = serde_json::Map::new();
    let (done, ended) = watch::channel(false);
    for _ in 0..amount.devices {
        let client = network.client.register(&unique("inbox")).await?;
        let first = client.get("/_matrix/client/v3/sync").await?;
        let since = first["next_batch"].as_str().context("no next_batch")?.to_owned();
        targets.insert(client.user_id.clone(), json!([client.device_id]));
        let reader = Reader { network: Arc::clone(&network), client, since, newest: HashMap::new() };
        readers.spawn(reader.read(amount.rounds, ended.clone()));
    }
    let targets = Arc::new(targets);
    let started = Instant::now();
    for _ in 0..SENDERS {
        let client = network.client.register(&unique("sender")).await?;
        senders.spawn(send_all(Arc::clone(&network), client, Arc::clone(&targets), amount.rounds));
    }
    let mut turn = 0;
    while !senders.is_empty() || turn == 0 {
        disturb(Arc::clone(&network), turn).await?;
        turn += 1;
        while let Some(sender) = senders.try_join_next() {
            sender??;
        }
    }
    let messages = amount.devices * SENDERS * amount.rounds as usize;
    println!("{messages} messages to {} devices sent in {:?}, {turn} disturbances", amount.devices, started.elapsed());
    done.send_replace(true);
    while let Some(reader) = readers.join_next().await {
        reader??;
    }
    Ok(())
}

/// One message to every device in each request, repeated with its transaction id until it is acknowledged.
async fn send_all(
    network: Arc<Network>,
    client: Client,
    targets: Arc<serde_json::Map<String, Value>>,
    rounds: i64,
) -> Result<()> {
    for number in 0..rounds {
        let mut messages = serde_json::Map::new();
        for (user_id, device_id) in &*targets {
            let device_id = device_id[0].as_str().unwrap_or_default();
            messages.insert(user_id.clone(), json!({ device_id: { "number": number } }));
        }
        let path = format!("/_matrix/client/v3/sendToDevice/org.example.test/n{number}");
        let body = json!({ "messages": messages });
        let started = Instant::now();
        loop {
            let answer = client.pinned(network.pick()).request(Method::PUT, &path, Some(&body)).await;
            if is_answered(&answer)? {
                break;
            }
            ensure!(started.elapsed() < INSISTENCE, "{} could not send {number}: {answer:?}", client.user_id);
            tokio::time::sleep(RETRY).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// False: to be tried again. Only a broken connection and a clean 503 may be.
fn is_answered(answer: &Result<Reply>) -> Result<bool> {
    match answer {
        Ok(reply) if reply.status == 200 => Ok(true),
        Ok(reply) if reply.status == 503 && reply.errcode().starts_with("M_") => Ok(false),
        Ok(reply) => bail!("refused: {} {}", reply.status, reply.text),
        Err(_) => Ok(false),
    }
}

/// One device.
struct Reader {
    network: Arc<Network>,
    client: Client,
    since: String,
    /// Sender → number of the newest message that came.
    newest: HashMap<String, i64>,
}

impl Reader {
    async fn read(mut self, rounds: i64, ended: watch::Receiver<bool>) -> Result<()> {
        let first = self.since.clone();
        let mut end = None::<Instant>;
        while self.newest.len() < SENDERS || self.newest.values().any(|number| *number + 1 < rounds) {
            if *ended.borrow() {
                let deadline = *end.get_or_insert_with(|| Instant::now() + PATIENCE);
                ensure!(Instant::now() < deadline, "{} lacks messages: {:?}", self.client.user_id, self.newest);
            }
            let body = self.sync(&self.since.clone(), 2_000).await?;
            self.take(&body)?;
            body["next_batch"].as_str().context("no next_batch")?.clone_into(&mut self.since);
        }
        // this acknowledges the last ones; from then on no token, however old, brings any of them back
        for since in [self.since.clone(), first.clone(), first] {
            let body = self.sync(&since, 0).await?;
            ensure!(
                body["to_device"].is_null(),
                "{}: delivered after the acknowledgement: {body}",
                self.client.user_id
            );
        }
        Ok(())
    }

    async fn sync(&self, since: &str, timeout: u32) -> Result<Value> {
        let path = format!("/_matrix/client/v3/sync?since={}&timeout={timeout}", escape(since));
        let started = Instant::now();
        loop {
            let answer = self.client.pinned(self.network.pick()).request(Method::GET, &path, None).await;
            if is_answered(&answer)? {
                return Ok(answer?.body);
            }
            ensure!(started.elapsed() < INSISTENCE, "{} cannot sync: {answer:?}", self.client.user_id);
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Each sender's messages come once, without a gap.
    fn take(&mut self, body: &Value) -> Result<()> {
        for event in body["to_device"]["events"].as_array().into_iter().flatten() {
            let sender = event["sender"].as_str().context("no sender")?;
            let number = event["content"]["number"].as_i64().context("a message that nobody sent")?;
            let before = self.newest.insert(sender.to_owned(), number);
            ensure!(
                number == before.map_or(0, |before| before + 1),
                "{}: {number} of {sender} came after {before:?}",
                self.client.user_id
            );
        }
        Ok(())
    }
}
