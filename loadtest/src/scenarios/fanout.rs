use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args as ClapArgs;
use serde::Deserialize;
use tokio::sync::watch;

use crate::{
    api::User,
    measure::{Report, Samples, Stopwatch, progress},
    target::Target,
};

#[derive(ClapArgs, Clone, Debug)]
pub(crate) struct Args {
    #[arg(long, default_value_t = 5)]
    pub(crate) rooms: usize,
    /// Members of each room, the sender included.
    #[arg(long, default_value_t = 20)]
    pub(crate) members: usize,
    /// Messages a second to each room.
    #[arg(long, default_value_t = 5.0)]
    pub(crate) rate: f64,
    #[arg(long, default_value_t = 10)]
    pub(crate) seconds: u64,
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
    join: HashMap<String, Joined>,
}
#[derive(Deserialize)]
struct Joined {
    #[serde(default)]
    timeline: Timeline,
}
#[derive(Deserialize, Default)]
struct Timeline {
    #[serde(default)]
    events: Vec<Event>,
}
#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    event_type: String,
    event_id: String,
    content: serde_json::Value,
}

/// What one receiver saw: event id → (how often, when first, body).
type Received = HashMap<String, (u64, Instant, String)>;

const RETRY_AFTER: Duration = Duration::from_millis(50);
/// A burst after a pause must not be cut to the default of ten events.
const FILTER: &str = r#"{"room":{"timeline":{"limit":500}}}"#;

async fn receive(mut user: User, since: String, mut stop: watch::Receiver<bool>) -> (Received, Vec<String>, u64) {
    let mut since = since;
    let (mut received, mut order, mut failures) = (Received::new(), Vec::new(), 0);
    loop {
        let answer = tokio::select! {
            answer = user.sync(Some(&since), 30_000, Some(FILTER)) => answer,
            _ = stop.wait_for(|stop| *stop) => return (received, order, failures),
        };
        let Some(sync) = answer.ok().and_then(|bytes| serde_json::from_slice::<Sync>(&bytes).ok()) else {
            failures += 1;
            tokio::time::sleep(RETRY_AFTER).await;
            continue;
        };
        let now = Instant::now();
        since = sync.next_batch;
        for event in sync.rooms.join.into_values().flat_map(|room| room.timeline.events) {
            if event.event_type == "m.room.message" {
                let body = event.content["body"].as_str().unwrap_or_default().to_owned();
                order.push(body.clone());
                received.entry(event.event_id).or_insert((0, now, body)).0 += 1;
            }
        }
    }
}

/// Sends at a steady rate; returns event id → when the request began.
async fn send(mut user: User, room: Arc<str>, rate: f64, seconds: u64) -> (HashMap<String, Instant>, u64) {
    let mut tick = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
    let until = Instant::now() + Duration::from_secs(seconds);
    let (mut sent, mut failures, mut number) = (HashMap::new(), 0, 0_u64);
    while Instant::now() < until {
        tick.tick().await;
        number += 1;
        let started = Instant::now();
        match user.send(&room, &format!("{number:08}")).await {
            Ok(event_id) => {
                sent.insert(event_id, started);
            }
            Err(_) => failures += 1,
        }
    }
    (sent, failures)
}

pub(crate) async fn run(target: &Target, args: &Args) -> anyhow::Result<Report> {
    let mut senders = User::register_many(target, args.rooms).await?;
    let (stop, stopped) = watch::channel(false);
    let (mut receivers, mut rooms) = (Vec::new(), Vec::new());
    for (index, sender) in senders.iter_mut().enumerate() {
        let room: Arc<str> = sender.create_public_room().await?.into();
        for member in 1..args.members {
            let mut user = User::register(target, index + member).await?;
            user.join(&room).await?;
            receivers.push((index, user));
        }
        rooms.push(room);
        progress("preparing rooms", (index + 1) as f64 / args.rooms as f64);
    }
    let mut tasks = Vec::new();
    for (index, mut user) in receivers {
        let since = user.next_batch().await?;
        tasks.push((index, tokio::spawn(receive(user, since, stopped.clone()))));
    }
    let stopwatch = Stopwatch::start(&target.pids);
    let senders: Vec<_> = senders
        .into_iter()
        .zip(&rooms)
        .map(|(user, room)| tokio::spawn(send(user, Arc::clone(room), args.rate, args.seconds)))
        .collect();
    let mut samples = Samples::default();
    let mut sent = Vec::new();
    for task in senders {
        let (events, failures) = task.await?;
        samples.failures += failures;
        sent.push(events);
    }
    // what is acknowledged is delivered within moments; the last ones get theirs
    tokio::time::sleep(Duration::from_secs(2)).await;
    stop.send_replace(true);
    let (mut lost, mut doubled, mut disordered) = (0, 0, 0);
    for (room, task) in tasks {
        let (received, order, failures) = task.await?;
        samples.failures += failures;
        disordered += u64::from(!order.is_sorted());
        for (event_id, started) in &sent[room] {
            match received.get(event_id) {
                None => lost += 1,
                Some((times, at, _)) => {
                    doubled += times - 1;
                    samples.add(at.saturating_duration_since(*started));
                }
            }
        }
    }
    let name = format!("delivery, {} rooms × {} members, {}/s each", args.rooms, args.members, args.rate);
    let mut report = stopwatch.finish(&name, samples);
    report.checks = HashMap::from([
        ("lost".to_owned(), lost),
        ("doubled".to_owned(), doubled),
        ("receivers_out_of_order".to_owned(), disordered),
    ]);
    Ok(report)
}
