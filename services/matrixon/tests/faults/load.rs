//! People talking while things break: senders that insist, readers that poll.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use matrixon_testkit::client::{Client, Method, Reply, SyncQuery, escape, room_path, unique};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle};

use crate::network::Network;

const ROOMS: usize = 2;
const SENDERS: usize = 2;
const READERS: usize = 3;
/// Between two messages of one sender.
const PAUSE: Duration = Duration::from_millis(120);
/// How long one message may take, with all its attempts.
const INSISTENCE: Duration = Duration::from_secs(30);
/// How long readers may take for the rest after the last message.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request that did not succeed, and how.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// None: no HTTP answer at all.
    pub status: Option<u16>,
    pub errcode: String,
    pub text: String,
}

#[derive(Clone, Default)]
pub(crate) struct Failures(Arc<Mutex<Vec<Failure>>>);

impl Failures {
    fn add(&self, what: &str, answer: &Result<Reply>) {
        let failure = match answer {
            Ok(reply) => Failure {
                status: Some(reply.status),
                errcode: reply.errcode().to_owned(),
                text: format!("{what}: {} {}", reply.status, reply.text),
            },
            Err(error) => Failure { status: None, errcode: String::new(), text: format!("{what}: {error:#}") },
        };
        self.0.lock().expect("nobody panics with it").push(failure);
    }

    pub(crate) fn list(&self) -> Vec<Failure> {
        self.0.lock().expect("nobody panics with it").clone()
    }
}

/// A message that the server acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub event_id: String,
    pub sender: String,
    pub number: u64,
    /// From the first attempt to the acknowledgement.
    pub took: Duration,
}

/// A room, what was said in it and what each of its readers saw.
pub(crate) struct Record {
    pub room: String,
    pub witness: Client,
    pub sent: Vec<Sent>,
    /// The message events of each reader, in the order of arrival.
    pub seen: Vec<Vec<Value>>,
}

type Sender = JoinHandle<Result<Vec<Sent>>>;
type Reader = JoinHandle<Result<Vec<Value>>>;

struct Talk {
    room: String,
    witness: Client,
    senders: Vec<Sender>,
    readers: Vec<Reader>,
    expected: watch::Sender<Option<usize>>,
}

pub(crate) struct Load {
    talks: Vec<Talk>,
    stop: watch::Sender<bool>,
    pub failures: Failures,
}

impl Load {
    /// Rooms with members, and everybody at work.
    pub(crate) async fn start(network: &Arc<Network>) -> Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let failures = Failures::default();
        let mut talks = Vec::new();
        for _ in 0..ROOMS {
            talks.push(start_talk(network, &stopped, &failures).await?);
        }
        Ok(Self { talks, stop, failures })
    }

    /// Lets the senders finish and the readers catch up.
    pub(crate) async fn finish(self) -> Result<(Vec<Record>, Vec<Failure>)> {
        self.stop.send_replace(true);
        let mut records = Vec::new();
        for talk in self.talks {
            let mut sent = Vec::new();
            for sender in talk.senders {
                sent.extend(sender.await??);
            }
            talk.expected.send_replace(Some(sent.len()));
            let mut seen = Vec::new();
            for reader in talk.readers {
                seen.push(reader.await??);
            }
            records.push(Record { room: talk.room, witness: talk.witness, sent, seen });
        }
        Ok((records, self.failures.list()))
    }
}

async fn start_talk(network: &Arc<Network>, stopped: &watch::Receiver<bool>, failures: &Failures) -> Result<Talk> {
    let witness = network.client.register(&unique("witness")).await?;
    let room = witness.create_room(&json!({ "preset": "public_chat" })).await?;
    let (expected, expecting) = watch::channel(None);
    // readers first: they count from before the first message
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let reader = Person::new(network, &room, failures).await?;
        let since = reader.client.sync(&SyncQuery::default()).await?;
        let since = since["next_batch"].as_str().unwrap_or_default().to_owned();
        readers.push(tokio::spawn(reader.read(since, expecting.clone())));
    }
    let mut senders = Vec::new();
    for _ in 0..SENDERS {
        let sender = Person::new(network, &room, failures).await?;
        senders.push(tokio::spawn(sender.send(stopped.clone())));
    }
    Ok(Talk { room, witness, senders, readers, expected })
}

struct Person {
    network: Arc<Network>,
    client: Client,
    room: String,
    failures: Failures,
}

impl Person {
    /// A new account that has joined the room.
    async fn new(network: &Arc<Network>, room: &str, failures: &Failures) -> Result<Self> {
        let client = network.client.register(&unique("talker")).await?;
        client.join(room).await?;
        Ok(Self { network: Arc::clone(network), client, room: room.to_owned(), failures: failures.clone() })
    }

    async fn send(self, mut stopped: watch::Receiver<bool>) -> Result<Vec<Sent>> {
        let mut sent = Vec::new();
        let mut ticks = tokio::time::interval(PAUSE);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for number in 0.. {
            let go_on = tokio::select! {
                _ = ticks.tick() => true,
                _ = stopped.wait_for(|stopped| *stopped) => false,
            };
            if !go_on {
                break;
            }
            sent.push(self.send_one(number).await?);
        }
        Ok(sent)
    }

    /// Sends one message, again and again with the same transaction id until it is acknowledged.
    async fn send_one(&self, number: u64) -> Result<Sent> {
        let path = room_path(&self.room, &format!("send/m.room.message/n{number}"));
        let content = json!({ "msgtype": "m.text", "body": number.to_string(), "number": number });
        let started = Instant::now();
        while started.elapsed() < INSISTENCE {
            let client = self.client.pinned(self.network.pick());
            let answer = client.request(Method::PUT, &path, Some(&content)).await;
            match &answer {
                Ok(reply) if reply.status == 200 => {
                    let event_id = reply.body["event_id"].as_str().unwrap_or_default().to_owned();
                    let sender = self.client.user_id.clone();
                    return Ok(Sent { event_id, sender, number, took: started.elapsed() });
                }
                _ => self.failures.add("send", &answer),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!(
            "{} could not send message {number} in {} s: {:?}",
            self.client.user_id,
            INSISTENCE.as_secs(),
            self.failures.list().last()
        )
    }

    /// Polls until it has seen as many messages as were sent, and then once more.
    async fn read(self, mut since: String, expecting: watch::Receiver<Option<usize>>) -> Result<Vec<Value>> {
        let mut seen = Vec::new();
        let mut end = None::<Instant>;
        loop {
            let expected = *expecting.borrow();
            let complete = expected.is_some_and(|expected| seen.len() >= expected);
            let deadline = *end.get_or_insert_with(|| Instant::now() + PATIENCE);
            if expected.is_none() {
                end = None;
            } else if Instant::now() > deadline {
                return Ok(seen);
            }
            let wait = if complete { 300 } else { 2_000 };
            let filter = escape(&json!({ "room": { "timeline": { "limit": 200 } } }).to_string());
            let path = format!("/_matrix/client/v3/sync?since={}&timeout={wait}&filter={filter}", escape(&since));
            let client = self.client.pinned(self.network.pick());
            let answer = client.request(Method::GET, &path, None).await;
            match &answer {
                Ok(reply) if reply.status == 200 => {
                    since = reply.body["next_batch"].as_str().unwrap_or_default().to_owned();
                    let timeline = &reply.body["rooms"]["join"][&self.room]["timeline"];
                    if timeline["limited"] == true {
                        bail!("{} was given a limited timeline", self.client.user_id);
                    }
                    let events = timeline["events"].as_array().map_or(&[][..], Vec::as_slice);
                    seen.extend(events.iter().filter(|event| event["type"] == "m.room.message").cloned());
                    if complete && events.is_empty() {
                        return Ok(seen);
                    }
                }
                _ => {
                    self.failures.add("sync", &answer);
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}
