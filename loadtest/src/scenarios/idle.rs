use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use clap::Args as ClapArgs;

use crate::{
    api::User,
    measure::{Report, Samples, Stopwatch, progress, usage},
    target::Target,
};

#[derive(ClapArgs, Clone, Debug)]
pub(crate) struct Args {
    /// Long polls held, each of a user of its own on a connection of its own.
    #[arg(long, default_value_t = 500)]
    pub(crate) connections: usize,
    /// Sends beside them, one after the other.
    #[arg(long, default_value_t = 200)]
    pub(crate) sends: usize,
}

pub(crate) async fn run(target: &Target, args: &Args) -> anyhow::Result<Report> {
    let mut sender = User::register(target, 0).await?;
    let room = sender.create_public_room().await?;
    sender.send(&room, "warming up").await?;
    let mut ready = Vec::with_capacity(args.connections);
    for index in 0..args.connections {
        let mut user = User::register(target, index).await?;
        let since = user.next_batch().await?;
        ready.push((user, since));
        progress("registering", (index + 1) as f64 / args.connections as f64);
    }
    let before = usage(&target.pids).resident;
    let polls: Vec<_> = ready
        .into_iter()
        .map(|(mut user, since)| {
            tokio::spawn(async move {
                loop {
                    if user.sync(Some(&since), 30_000, None).await.is_err() {
                        return;
                    }
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let held = usage(&target.pids).resident.saturating_sub(before);
    let stopwatch = Stopwatch::start(&target.pids);
    let mut samples = Samples::default();
    for _ in 0..args.sends {
        let started = Instant::now();
        match sender.send(&room, "beside idle long polls").await {
            Ok(_) => samples.add(started.elapsed()),
            Err(_) => samples.failures += 1,
        }
    }
    let mut report = stopwatch.finish(&format!("send beside {} idle long polls", args.connections), samples);
    let broken = polls.iter().filter(|poll| poll.is_finished()).count();
    polls.iter().for_each(tokio::task::JoinHandle::abort);
    report.checks = HashMap::from([
        ("broken_polls".to_owned(), broken as u64),
        ("bytes_per_poll".to_owned(), held / args.connections.max(1) as u64),
    ]);
    Ok(report)
}
