use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Args as ClapArgs;
use matrixon_testkit::cluster::Site;
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
    /// Seconds between two kills (SIGKILL) of random processes of the development cluster, which are started again at once. 0: none.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) kill_every: f64,
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

/// How many messages each room got in the end, and until when to wait for them.
type Goal = Option<(Arc<[usize]>, Instant)>;

const RETRY_AFTER: Duration = Duration::from_millis(50);
/// With processes that are killed: how long one message may take, with all its attempts.
const INSISTENCE: Duration = Duration::from_secs(30);
/// After the last message, for what was acknowledged.
const PATIENCE: Duration = Duration::from_secs(10);
/// A burst after a pause must not be cut to the default of ten events.
const FILTER: &str = r#"{"room":{"timeline":{"limit":500}}}"#;
/// Of a second whose messages were delivered as they should be.
const NORMAL_P95: Duration = Duration::from_millis(50);

#[derive(Default)]
struct Inbox {
    received: Received,
    order: Vec<String>,
    failures: u64,
}

impl Inbox {
    fn take(&mut self, sync: Sync) {
        let now = Instant::now();
        for event in sync.rooms.join.into_values().flat_map(|room| room.timeline.events) {
            if event.event_type == "m.room.message" {
                let body = event.content["body"].as_str().unwrap_or_default().to_owned();
                self.order.push(body.clone());
                self.received.entry(event.event_id).or_insert((0, now, body)).0 += 1;
            }
        }
    }
}

/// Polls until it has seen as many messages as its room got, and once more for what should not come.
async fn receive(mut user: User, mut since: String, room: usize, mut goal: watch::Receiver<Goal>) -> Inbox {
    let mut inbox = Inbox::default();
    loop {
        let known = goal.borrow_and_update().clone();
        let done = known
            .as_ref()
            .is_some_and(|(expected, until)| inbox.received.len() >= expected[room] || Instant::now() > *until);
        let wait = match known {
            None => 30_000,
            Some(_) if done => 200,
            Some(_) => 1_000,
        };
        let answer = tokio::select! {
            answer = user.sync(Some(&since), wait, Some(FILTER)) => Some(answer),
            _ = goal.changed() => None,
        };
        let Some(answer) = answer else {
            // the answer to a request that was given up would come before that to the next one
            user.client.reconnect();
            continue;
        };
        if let Ok(sync) = answer.and_then(|bytes| Ok(serde_json::from_slice::<Sync>(&bytes)?)) {
            since.clone_from(&sync.next_batch);
            inbox.take(sync);
        } else {
            inbox.failures += 1;
            user.client.rotate();
            tokio::time::sleep(RETRY_AFTER).await;
        }
        if done {
            return inbox;
        }
    }
}

/// Sends at a steady rate; returns event id → when the request began. What fails is tried again where `insist` says so.
async fn send(mut user: User, room: Arc<str>, args: Args) -> (HashMap<String, Instant>, u64) {
    let mut tick = tokio::time::interval(Duration::from_secs_f64(1.0 / args.rate));
    let until = Instant::now() + Duration::from_secs(args.seconds);
    let (mut sent, mut failures, mut number) = (HashMap::new(), 0, 0_u64);
    while Instant::now() < until {
        tick.tick().await;
        number += 1;
        let started = Instant::now();
        let body = format!("{number:08}");
        let mut answer = user.send(&room, &body).await;
        while answer.is_err() && args.kill_every > 0.0 && started.elapsed() < INSISTENCE {
            failures += 1;
            user.client.rotate();
            tokio::time::sleep(RETRY_AFTER).await;
            answer = user.send_again(&room, &body).await;
        }
        match answer {
            Ok(event_id) => {
                sent.insert(event_id, started);
            }
            Err(_) => failures += 1,
        }
    }
    (sent, failures)
}

/// A random process of the cluster is killed and started again, until `over`. Returns how many.
fn kill(site: &Site, every: Duration, over: &AtomicBool) -> anyhow::Result<u64> {
    let processes = site.state()?.processes;
    let mut killed = 0;
    loop {
        let next = Instant::now() + every;
        while Instant::now() < next {
            if over.load(Ordering::Relaxed) {
                return Ok(killed);
            }
            std::thread::sleep(RETRY_AFTER);
        }
        let process = &processes[rand::random_range(0..processes.len())];
        site.kill(&process.role, process.index)?;
        site.start(&process.role, process.index)?;
        killed += 1;
    }
}

struct Crowd {
    senders: Vec<(User, Arc<str>)>,
    /// With the number of their room.
    receivers: Vec<(usize, User)>,
}

async fn prepare(target: &Target, args: &Args) -> anyhow::Result<Crowd> {
    let mut crowd = Crowd { senders: Vec::new(), receivers: Vec::new() };
    for (index, mut sender) in User::register_many(target, args.rooms).await?.into_iter().enumerate() {
        let room: Arc<str> = sender.create_public_room().await?.into();
        for member in 1..args.members {
            let mut user = User::register(target, index + member).await?;
            user.join(&room).await?;
            crowd.receivers.push((index, user));
        }
        crowd.senders.push((sender, room));
        progress("preparing rooms", (index + 1) as f64 / args.rooms as f64);
    }
    Ok(crowd)
}

pub(crate) async fn run(target: &Target, args: &Args) -> anyhow::Result<Report> {
    let crowd = prepare(target, args).await?;
    let (goal, goals) = watch::channel(None);
    let mut readers = Vec::new();
    for (room, mut user) in crowd.receivers {
        let since = user.next_batch().await?;
        readers.push((room, tokio::spawn(receive(user, since, room, goals.clone()))));
    }
    let over = Arc::new(AtomicBool::new(false));
    let killer = killer(target, args, &over)?;
    let stopwatch = Stopwatch::start(&target.pids);
    let began = Instant::now();
    let senders: Vec<_> =
        crowd.senders.into_iter().map(|(user, room)| tokio::spawn(send(user, room, args.clone()))).collect();
    let mut samples = Samples::default();
    let mut sent = Vec::new();
    for task in senders {
        let (events, failures) = task.await?;
        samples.failures += failures;
        sent.push(events);
    }
    over.store(true, Ordering::Relaxed);
    let killed = match killer {
        Some(killer) => Some(killer.await??),
        None => None,
    };
    goal.send_replace(Some((sent.iter().map(HashMap::len).collect(), Instant::now() + PATIENCE)));
    let (mut lost, mut doubled, mut disordered) = (0, 0, 0);
    let mut seconds = Seconds::default();
    for (room, reader) in readers {
        let inbox = reader.await?;
        samples.failures += inbox.failures;
        disordered += u64::from(!inbox.order.is_sorted());
        for (event_id, started) in &sent[room] {
            match inbox.received.get(event_id) {
                None => lost += 1,
                Some((times, at, _)) => {
                    doubled += times - 1;
                    let took = at.saturating_duration_since(*started);
                    samples.add(took);
                    seconds.add(started.duration_since(began), took);
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
        ("longest_run_of_slow_seconds".to_owned(), seconds.longest_slow_run()),
    ]);
    report.checks.extend(killed.map(|killed| ("killed".to_owned(), killed)));
    Ok(report)
}

type Killer = tokio::task::JoinHandle<anyhow::Result<u64>>;

fn killer(target: &Target, args: &Args, over: &Arc<AtomicBool>) -> anyhow::Result<Option<Killer>> {
    if args.kill_every <= 0.0 {
        return Ok(None);
    }
    let directory = target.directory.as_ref().context("--kill-every needs --cluster")?;
    let (site, every, over) = (Site::open(directory)?, Duration::from_secs_f64(args.kill_every), over.clone());
    Ok(Some(tokio::task::spawn_blocking(move || kill(&site, every, &over))))
}

/// Latencies by the second in which the message was sent.
#[derive(Default)]
struct Seconds(BTreeMap<u64, Vec<Duration>>);

impl Seconds {
    fn add(&mut self, sent: Duration, took: Duration) {
        self.0.entry(sent.as_secs()).or_default().push(took);
    }

    /// How many seconds in a row had a p95 above the normal one.
    fn longest_slow_run(&mut self) -> u64 {
        let (mut longest, mut run) = (0, 0);
        for took in self.0.values_mut() {
            took.sort_unstable();
            let slow = took[(took.len() - 1) * 95 / 100] > NORMAL_P95;
            run = if slow { run + 1 } else { 0 };
            longest = longest.max(run);
        }
        longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_seconds_count_in_a_row() {
        let mut seconds = Seconds::default();
        for (second, millis) in [(0, 5), (1, 80), (2, 90), (3, 5), (4, 70), (5, 6)] {
            seconds.add(Duration::from_secs(second), Duration::from_millis(millis));
        }
        assert_eq!(seconds.longest_slow_run(), 2);
    }
}
