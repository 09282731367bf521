//! Administration while the auth service dies again and again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use matrixon_testkit::{client::unique, tests};
use tokio::process::Command;

use crate::network::Network;

tests![Network: commands_survive_kills];

/// `gateway.admin_token` of this suite.
pub(crate) const TOKEN: &str = "the secret of the machine that administers";

const KILLS: usize = 6;
const AWAY: Duration = Duration::from_millis(1_500);
/// Rounds of commands that run at the same time.
const OPERATORS: usize = 3;

/// A command of the real program through a gateway: it must say that it has done it.
async fn done(network: &Network, args: &[&str]) -> Result<String> {
    let url = network.cluster.client_urls()[network.pick()].clone();
    let mut command = Command::new(env!("CARGO_BIN_EXE_matrixon"));
    command.args(args).env_clear().env("MATRIXON_ADMIN_URL", &url).env("MATRIXON_ADMIN_TOKEN", TOKEN);
    let output = command.stdin(std::process::Stdio::null()).output().await?;
    anyhow::ensure!(output.status.success(), "{args:?} at {url}: {output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

/// The life of one account. Every step succeeds, and does what it does once: a second `create` would say that the name is taken.
async fn live(network: &Network) -> Result<usize> {
    let name = unique("killed");
    let token = done(network, &["registration-token", "create"]).await?.trim().to_owned();
    let steps: [&[&str]; 9] = [
        &["user", "create", &name, "--password", "a password"],
        &["user", "promote", &name],
        &["user", "demote", &name],
        &["user", "lock", &name],
        &["user", "unlock", &name],
        &["user", "reset-password", &name, "--password", "another password"],
        &["user", "show", &name],
        &["user", "deactivate", &name, "--yes"],
        &["registration-token", "revoke", &token],
    ];
    for step in steps {
        done(network, step).await?;
    }
    let target = format!("@{name}:{}", server_name(network)?);
    let log = done(network, &["audit", "list", "--target", &target, "--json"]).await?;
    assert_eq!(log.lines().count(), 7, "each step once: {log}");
    Ok(steps.len() + 1)
}

fn server_name(network: &Network) -> Result<String> {
    let process = network.cluster.state()?.processes.into_iter().next().context("a process")?;
    let file = process.command.iter().skip_while(|word| *word != "--config").nth(1).context("a configuration")?;
    let config: toml::Table = toml::from_str(&std::fs::read_to_string(file)?)?;
    Ok(config["server"]["name"].as_str().context("a name")?.to_owned())
}

async fn commands_survive_kills(network: Arc<Network>) -> Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut operators = tokio::task::JoinSet::new();
    for _ in 0..OPERATORS {
        let (network, stop) = (Arc::clone(&network), Arc::clone(&stop));
        operators.spawn(async move {
            let mut commands = 0;
            while !stop.load(Ordering::Relaxed) {
                commands += live(&network).await?;
            }
            anyhow::Ok(commands)
        });
    }
    for kill in 0..KILLS {
        let index = (kill % 2) as u32;
        network.act(move |cluster| cluster.kill("auth", index)).await?;
        tokio::time::sleep(AWAY).await;
        network.act(move |cluster| cluster.start("auth", index)).await?;
        tokio::time::sleep(AWAY).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut commands = 0;
    while let Some(ended) = operators.join_next().await {
        commands += ended??;
    }
    assert!(commands >= KILLS, "only {commands} commands");
    assert!(done(&network, &["audit", "verify"]).await?.contains("the chain is whole"));
    println!("{commands} commands during {KILLS} kills");
    Ok(())
}
