use std::time::{Duration, Instant};

use clap::Args as ClapArgs;
use futures::future::try_join_all;

use crate::{
    api::User,
    measure::{Report, Samples, Stopwatch, progress},
    target::Target,
};

#[derive(ClapArgs, Clone, Debug)]
pub(crate) struct Args {
    #[arg(long, default_value_t = 10)]
    pub(crate) senders: usize,
    /// Senders share the rooms evenly.
    #[arg(long, default_value_t = 5)]
    pub(crate) rooms: usize,
    #[arg(long, default_value_t = 10)]
    pub(crate) seconds: u64,
}

/// Rooms of the first users, joined by those who send there: sender `i` sends to room `i % rooms`.
pub(crate) async fn prepare(target: &Target, users: &mut [User], rooms: usize) -> anyhow::Result<Vec<String>> {
    let mut ids = Vec::with_capacity(rooms);
    for index in 0..users.len() {
        if index < rooms {
            ids.push(users[index].create_public_room().await?);
        } else {
            let room = ids[index % rooms].clone();
            users[index].join(&room).await?;
        }
        progress("preparing rooms", (index + 1) as f64 / users.len() as f64);
    }
    debug_assert!(!target.addresses.is_empty());
    Ok(ids)
}

pub(crate) async fn run(target: &Target, args: &Args) -> anyhow::Result<Report> {
    let mut users = User::register_many(target, args.senders).await?;
    let rooms = prepare(target, &mut users, args.rooms.min(args.senders)).await?;
    for (index, user) in users.iter_mut().enumerate() {
        user.send(&rooms[index % rooms.len()], "warming up").await?;
    }
    let until = Instant::now() + Duration::from_secs(args.seconds);
    let stopwatch = Stopwatch::start(&target.pids);
    let tasks = users.into_iter().enumerate().map(|(index, mut user)| {
        let room = rooms[index % rooms.len()].clone();
        tokio::spawn(async move {
            let mut samples = Samples::default();
            while Instant::now() < until {
                let started = Instant::now();
                match user.send(&room, "the quick brown fox jumps over the lazy dog").await {
                    Ok(_) => samples.add(started.elapsed()),
                    Err(_) => samples.failures += 1,
                }
            }
            samples
        })
    });
    let mut all = Samples::default();
    for samples in try_join_all(tasks).await? {
        all.merge(samples);
    }
    Ok(stopwatch.finish(&format!("send, {} senders, {} rooms", args.senders, rooms.len()), all))
}
