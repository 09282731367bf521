//! Clients that send and sync all the while, for whoever restarts, scales or kills servers meanwhile.
//!
//! Every request counts, none is hidden by a retry: a request fails when there is no answer or it is not 200. A message that
//! was not acknowledged is sent again with the same transaction id, as clients do, so that it must not be doubled either.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use clap::Args as ClapArgs;
use futures::future::try_join_all;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::{
    api::{User, encode},
    measure::{Report, Samples, Stopwatch},
    target::Target,
};

#[derive(ClapArgs, Clone, Debug)]
pub(crate) struct Args {
    #[arg(long, default_value_t = 20)]
    pub(crate) clients: usize,
    #[arg(long, default_value_t = 4)]
    pub(crate) rooms: usize,
    /// Messages a second of each client.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) rate: f64,
    /// End after this long; SIGTERM and SIGINT end it earlier.
    #[arg(long, default_value_t = 3600)]
    pub(crate) seconds: u64,
    /// Made when everything is prepared and the load begins.
    #[arg(long)]
    pub(crate) started: Option<PathBuf>,
}

/// As patient clients do.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How long after the last message the last one may arrive.
const PATIENCE: Duration = Duration::from_secs(20);
const POLL_MS: u64 = 10_000;
const FILTER: &str = r#"{"room":{"timeline":{"limit":500}}}"#;
/// A second whose slowest twentieth of the sends took longer than this is a slow one.
const SLOW: Duration = Duration::from_secs(1);
const FAILURES_SHOWN: usize = 8;

/// What one task did.
struct Log {
    began: Instant,
    requests: u64,
    failures: Vec<String>,
    /// Acknowledged: event id → room.
    sent: HashMap<String, usize>,
    /// When each acknowledged send ended, and how long it took with all its retries.
    took: Vec<(Instant, Duration)>,
    /// Seen in /sync: event id → how often.
    seen: HashMap<String, u64>,
    /// Seen in /sync: (sender, number of the message) → how many different events.
    numbers: HashMap<(String, u64), u64>,
    room: usize,
}

impl Log {
    fn new(room: usize) -> Self {
        Self {
            began: Instant::now(),
            requests: 0,
            failures: Vec::new(),
            sent: HashMap::new(),
            took: Vec::new(),
            seen: HashMap::new(),
            numbers: HashMap::new(),
            room,
        }
    }

    fn fail(&mut self, what: &str, why: impl std::fmt::Display) {
        self.failures.push(format!("{:7.1} s {what}: {why:#}", self.began.elapsed().as_secs_f64()));
    }
}

#[derive(Deserialize)]
struct Sync {
    next_batch: String,
    #[serde(default)]
    rooms: Rooms,
}
#[derive(Deserialize, Default)]
struct Rooms {
    #[serde(default)]
    join: HashMap<String, Value>,
}

/// Sends `number` until it is acknowledged; every attempt counts.
async fn send_one(user: &mut User, room: &str, number: u64, log: &mut Log) -> Option<String> {
    let path = format!("/_matrix/client/v3/rooms/{}/send/m.room.message/{number}", encode(room));
    let content = json!({ "msgtype": "m.text", "body": "steady", "number": number }).to_string();
    let give_up = Instant::now() + PATIENCE;
    while Instant::now() < give_up {
        log.requests += 1;
        match user.client.call(Method::PUT, &path, Bytes::from(content.clone())).await {
            Ok((status, body)) if status.is_success() => {
                let body: Value = serde_json::from_slice(&body).ok()?;
                return body["event_id"].as_str().map(str::to_owned);
            }
            Ok((status, body)) => log.fail("send", format_args!("{status} {}", String::from_utf8_lossy(&body))),
            Err(error) => log.fail("send", error),
        }
        tokio::time::sleep(RETRY_AFTER).await;
    }
    None
}

async fn send(mut user: User, room: (usize, Arc<str>), rate: f64, stop: watch::Receiver<bool>) -> Log {
    let mut log = Log::new(room.0);
    let mut tick = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut number = 0;
    while !*stop.borrow() {
        tick.tick().await;
        number += 1;
        let started = Instant::now();
        if let Some(event_id) = send_one(&mut user, &room.1, number, &mut log).await {
            log.sent.insert(event_id, room.0);
            log.took.push((Instant::now(), started.elapsed()));
        }
    }
    log
}

async fn receive(mut user: User, room: (usize, Arc<str>), mut since: String, mut end: watch::Receiver<bool>) -> Log {
    let mut log = Log::new(room.0);
    loop {
        log.requests += 1;
        let answer = tokio::select! {
            answer = user.sync(Some(&since), POLL_MS, Some(FILTER)) => answer,
            _ = end.wait_for(|end| *end) => return log,
        };
        let sync = match answer.and_then(|bytes| Ok(serde_json::from_slice::<Sync>(&bytes)?)) {
            Ok(sync) => sync,
            Err(error) => {
                log.fail("sync", error);
                tokio::time::sleep(RETRY_AFTER).await;
                continue;
            }
        };
        since = sync.next_batch;
        let Some(joined) = sync.rooms.join.get(&*room.1) else { continue };
        if joined["timeline"]["limited"] == true {
            log.fail("sync", "a limited timeline: more than 500 messages at once");
        }
        for event in joined["timeline"]["events"].as_array().into_iter().flatten() {
            if let (Some(number), Some(id)) = (event["content"]["number"].as_u64(), event["event_id"].as_str()) {
                let times = log.seen.entry(id.to_owned()).or_default();
                *times += 1;
                if *times == 1 {
                    let sender = event["sender"].as_str().unwrap_or_default().to_owned();
                    *log.numbers.entry((sender, number)).or_default() += 1;
                }
            }
        }
    }
}

/// Waits for a signal or the end of the time.
async fn until_told(seconds: u64) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
    }
    Ok(())
}

/// The longest run of slow seconds: how long the server needed to be itself again.
fn slow_spell(took: &[(Instant, Duration)], began: Instant) -> u64 {
    let mut seconds = BTreeMap::<u64, Vec<Duration>>::new();
    for (ended, took) in took {
        // a send that took ten seconds was slow in all of them
        let ended = ended.saturating_duration_since(began);
        let (last, first) = (ended.as_secs(), ended.saturating_sub(*took).as_secs());
        for second in first..=last {
            seconds.entry(second).or_default().push(*took);
        }
    }
    let (mut longest, mut current, mut previous) = (0, 0, None);
    for (second, mut took) in seconds {
        took.sort_unstable();
        let slow = took[(took.len() * 95).div_ceil(100) - 1] > SLOW;
        let adjacent = previous == Some(second.wrapping_sub(1));
        current = if slow { if adjacent { current + 1 } else { 1 } } else { 0 };
        previous = Some(second);
        longest = longest.max(current);
    }
    longest
}

/// Each client twice: with one connection to send on, one to sync on.
async fn prepare(target: &Target, args: &Args) -> anyhow::Result<Vec<(User, User, (usize, Arc<str>), String)>> {
    let mut users = User::register_many(target, args.clients).await?;
    let rooms = super::send::prepare(target, &mut users, args.rooms.min(args.clients)).await?;
    let rooms: Vec<Arc<str>> = rooms.into_iter().map(Into::into).collect();
    let mut clients = Vec::with_capacity(users.len());
    for (index, sender) in users.into_iter().enumerate() {
        let mut receiver = sender.twin(index + 1);
        let since = receiver.next_batch().await?;
        let room = index % rooms.len();
        clients.push((sender, receiver, (room, Arc::clone(&rooms[room])), since));
    }
    Ok(clients)
}

pub(crate) async fn run(target: &Target, args: &Args) -> anyhow::Result<Report> {
    let clients = prepare(target, args).await?;
    let ((stop, stopped), (end, ended)) = (watch::channel(false), watch::channel(false));
    let stopwatch = Stopwatch::start(&target.pids);
    let began = Instant::now();
    let (mut senders, mut receivers) = (Vec::new(), Vec::new());
    for (sender, receiver, room, since) in clients {
        receivers.push(tokio::spawn(receive(receiver, room.clone(), since, ended.clone())));
        senders.push(tokio::spawn(send(sender, room, args.rate, stopped.clone())));
    }
    if let Some(path) = &args.started {
        std::fs::write(path, "")?;
    }
    until_told(args.seconds).await?;
    stop.send_replace(true);
    let sent = try_join_all(senders).await?;
    // a receiver is parked for at most this long before it asks again
    tokio::time::sleep(Duration::from_millis(POLL_MS)).await;
    end.send_replace(true);
    let received = try_join_all(receivers).await?;
    Ok(judge(stopwatch, began, args, &sent, &received))
}

fn judge(stopwatch: Stopwatch<'_>, began: Instant, args: &Args, sent: &[Log], received: &[Log]) -> Report {
    let (mut lost, mut doubled) = (0, 0);
    for reader in received {
        let expected = sent.iter().flat_map(|log| &log.sent).filter(|(_, room)| **room == reader.room);
        lost += expected.filter(|(event_id, _)| !reader.seen.contains_key(*event_id)).count() as u64;
        doubled += reader.seen.values().map(|times| times - 1).sum::<u64>();
        doubled += reader.numbers.values().map(|events| events - 1).sum::<u64>();
    }
    let logs = || sent.iter().chain(received);
    let mut samples = Samples::default();
    let took: Vec<_> = sent.iter().flat_map(|log| log.took.iter().copied()).collect();
    for (_, took) in &took {
        samples.add(*took);
    }
    let mut failures: Vec<&String> = logs().flat_map(|log| &log.failures).collect();
    failures.sort();
    samples.failures = failures.len() as u64;
    for failure in failures.iter().take(FAILURES_SHOWN) {
        eprintln!("failed: {failure}");
    }
    let mut report = stopwatch.finish(&format!("steady, {} clients, {} rooms", args.clients, args.rooms), samples);
    report.checks = HashMap::from([
        ("requests".to_owned(), logs().map(|log| log.requests).sum()),
        ("lost".to_owned(), lost),
        ("doubled".to_owned(), doubled),
        ("slow_spell_seconds".to_owned(), slow_spell(&took, began)),
    ]);
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_send_makes_all_its_seconds_slow() {
        let began = Instant::now();
        let at = |second: u64, took: u64| (began + Duration::from_secs(second), Duration::from_millis(took));
        assert_eq!(slow_spell(&[at(1, 5), at(2, 5)], began), 0);
        assert_eq!(slow_spell(&[at(1, 5), at(8, 3_000), at(9, 5)], began), 4);
    }
}
