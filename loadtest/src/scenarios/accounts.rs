use std::time::{Duration, Instant};

use clap::Args as ClapArgs;
use futures::future::try_join_all;
use http::Method;
use serde_json::json;

use crate::{
    api::{PASSWORD, User},
    client::Client,
    measure::{Report, Samples, Stopwatch},
    target::Target,
};

#[derive(ClapArgs, Clone, Debug)]
pub(crate) struct Args {
    /// Clients that log in at once, each as a user of its own.
    #[arg(long, default_value_t = 4)]
    pub(crate) clients: usize,
    #[arg(long, default_value_t = 5)]
    pub(crate) seconds: u64,
}

pub(crate) async fn login(target: &Target, args: &Args) -> anyhow::Result<Report> {
    let users = User::register_many(target, args.clients).await?;
    let until = Instant::now() + Duration::from_secs(args.seconds);
    let stopwatch = Stopwatch::start(&target.pids);
    let tasks = users.into_iter().enumerate().map(|(index, user)| {
        let mut client = Client::new(&target.addresses, index);
        tokio::spawn(async move {
            let body = json!({
                "type": "m.login.password",
                "identifier": { "type": "m.id.user", "user": user.user_id },
                "password": PASSWORD,
            });
            let mut samples = Samples::default();
            while Instant::now() < until {
                let started = Instant::now();
                match client.json(Method::POST, "/_matrix/client/v3/login", &body).await {
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
    Ok(stopwatch.finish(&format!("login, {} at once", args.clients), all))
}
