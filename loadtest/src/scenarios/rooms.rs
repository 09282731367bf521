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
    /// Clients that work at once.
    #[arg(long, default_value_t = 4)]
    pub(crate) clients: usize,
    #[arg(long, default_value_t = 5)]
    pub(crate) seconds: u64,
    /// Rooms that each client joins (for `join`).
    #[arg(long, default_value_t = 50)]
    pub(crate) rooms: usize,
}

pub(crate) async fn create(target: &Target, args: &Args) -> anyhow::Result<Report> {
    let users = User::register_many(target, args.clients).await?;
    let until = Instant::now() + Duration::from_secs(args.seconds);
    let stopwatch = Stopwatch::start(&target.pids);
    let tasks = users.into_iter().map(|mut user| {
        tokio::spawn(async move {
            let mut samples = Samples::default();
            while Instant::now() < until {
                let started = Instant::now();
                match user.create_public_room().await {
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
    Ok(stopwatch.finish(&format!("createRoom, {} at once", args.clients), all))
}

pub(crate) async fn join(target: &Target, args: &Args) -> anyhow::Result<Report> {
    let mut owner = User::register(target, 0).await?;
    let mut rooms = Vec::with_capacity(args.rooms);
    for index in 0..args.rooms {
        rooms.push(owner.create_public_room().await?);
        progress("preparing rooms", (index + 1) as f64 / args.rooms as f64);
    }
    let users = User::register_many(target, args.clients).await?;
    let stopwatch = Stopwatch::start(&target.pids);
    let tasks = users.into_iter().map(|mut user| {
        let rooms = rooms.clone();
        tokio::spawn(async move {
            let mut samples = Samples::default();
            for room in rooms {
                let started = Instant::now();
                match user.join(&room).await {
                    Ok(()) => samples.add(started.elapsed()),
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
    Ok(stopwatch.finish(&format!("join, {} at once", args.clients), all))
}
