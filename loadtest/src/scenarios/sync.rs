use std::time::{Duration, Instant};

use clap::Args as ClapArgs;
use futures::future::try_join_all;

use crate::{
    api::{User, next_batch},
    measure::{Report, Samples, Stopwatch, progress},
    target::Target,
};

#[derive(ClapArgs, Clone, Debug)]
pub(crate) struct IncrementalArgs {
    #[arg(long, default_value_t = 10)]
    pub(crate) users: usize,
    #[arg(long, default_value_t = 5)]
    pub(crate) seconds: u64,
}

#[derive(ClapArgs, Clone, Debug)]
pub(crate) struct InitialArgs {
    /// Rooms of the user who syncs.
    #[arg(long, default_value_t = 10)]
    pub(crate) rooms: usize,
    #[arg(long, default_value_t = 30)]
    pub(crate) members: usize,
    /// Messages in each room.
    #[arg(long, default_value_t = 20)]
    pub(crate) events: usize,
    /// Clients that sync at once.
    #[arg(long, default_value_t = 2)]
    pub(crate) clients: usize,
    #[arg(long, default_value_t = 5)]
    pub(crate) seconds: u64,
}

pub(crate) async fn incremental(target: &Target, args: &IncrementalArgs) -> anyhow::Result<Report> {
    let mut users = User::register_many(target, args.users).await?;
    let room = users[0].create_public_room().await?;
    for user in &mut users[1..] {
        user.join(&room).await?;
    }
    let mut ready = Vec::new();
    for mut user in users {
        let since = user.next_batch().await?;
        ready.push((user, since));
    }
    let until = Instant::now() + Duration::from_secs(args.seconds);
    let stopwatch = Stopwatch::start(&target.pids);
    let tasks = ready.into_iter().map(|(mut user, mut since)| {
        tokio::spawn(async move {
            let mut samples = Samples::default();
            while Instant::now() < until {
                let started = Instant::now();
                match user.sync(Some(&since), 0, None).await {
                    Ok(answer) => {
                        samples.add(started.elapsed());
                        samples.bytes += answer.len() as u64;
                        since = next_batch(&answer).unwrap_or(since);
                    }
                    Err(_) => samples.failures += 1,
                }
            }
            samples
        })
    });
    finish(stopwatch, "incremental sync, nothing new".to_owned(), tasks).await
}

pub(crate) async fn initial(target: &Target, args: &InitialArgs) -> anyhow::Result<Report> {
    let mut members = User::register_many(target, args.members).await?;
    for room in 0..args.rooms {
        let room_id = members[0].create_public_room().await?;
        for member in &mut members[1..] {
            member.join(&room_id).await?;
        }
        for event in 0..args.events {
            let sender = event % members.len();
            members[sender].send(&room_id, "the quick brown fox jumps over the lazy dog").await?;
        }
        progress("preparing rooms", (room + 1) as f64 / args.rooms as f64);
    }
    let clients = members.into_iter().take(args.clients.max(1));
    let until = Instant::now() + Duration::from_secs(args.seconds);
    let stopwatch = Stopwatch::start(&target.pids);
    let tasks = clients.map(|mut user| {
        tokio::spawn(async move {
            let mut samples = Samples::default();
            while Instant::now() < until {
                let started = Instant::now();
                match user.sync(None, 0, None).await {
                    Ok(answer) => {
                        samples.add(started.elapsed());
                        samples.bytes += answer.len() as u64;
                    }
                    Err(_) => samples.failures += 1,
                }
            }
            samples
        })
    });
    let name = format!("initial sync, {} rooms × {} members × {} events", args.rooms, args.members, args.events);
    finish(stopwatch, name, tasks).await
}

async fn finish(
    stopwatch: Stopwatch<'_>,
    name: String,
    tasks: impl Iterator<Item = tokio::task::JoinHandle<Samples>>,
) -> anyhow::Result<Report> {
    let mut all = Samples::default();
    for samples in try_join_all(tasks).await? {
        all.merge(samples);
    }
    Ok(stopwatch.finish(&name, all))
}
