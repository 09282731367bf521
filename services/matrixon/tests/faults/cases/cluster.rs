//! Two processes of every role on `PostgreSQL`, Redis and NATS.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use matrixon_testkit::{
    Cluster,
    process::{Signal, signal},
    tests,
};

use crate::{
    load::Load,
    network::Network,
    profiles::Popular,
    to_device,
    verdict::{Allowed, check},
};

tests![Network: killed_services_are_not_missed, killed_gateways_lose_only_their_connections, a_wiped_cache_is_not_missed,
    a_wiped_bus_is_not_missed, the_database_may_restart, the_role_at_the_database_may_change, a_rolling_restart_fails_nothing, a_profile_change_survives_kills, random_kills, to_device_messages_survive_kills, gateways_may_know_different_peers];

/// How long something is away, or left alone afterwards.
const AWAY: Duration = Duration::from_millis(1_500);
/// No message may take longer while a service or a helper is away.
const SLOWEST: Duration = Duration::from_secs(10);

async fn kill_and_start(network: &Network, role: &'static str, index: u32) -> Result<()> {
    network.act(move |cluster| cluster.kill(role, index)).await?;
    tokio::time::sleep(AWAY).await;
    network.act(move |cluster| cluster.start(role, index)).await?;
    tokio::time::sleep(AWAY).await;
    Ok(())
}

async fn killed_services_are_not_missed(network: Arc<Network>) -> Result<()> {
    let load = Load::start(&network).await?;
    tokio::time::sleep(AWAY).await;
    for role in ["room", "sync", "auth", "media", "federation"] {
        for index in 0..2 {
            kill_and_start(&network, role, index).await?;
        }
    }
    check(load, Allowed::Nothing, SLOWEST).await
}

async fn killed_gateways_lose_only_their_connections(network: Arc<Network>) -> Result<()> {
    let load = Load::start(&network).await?;
    tokio::time::sleep(AWAY).await;
    for index in [0, 1, 0] {
        kill_and_start(&network, "gateway", index).await?;
    }
    check(load, Allowed::LostConnections, SLOWEST).await
}

async fn a_wiped_cache_is_not_missed(network: Arc<Network>) -> Result<()> {
    let load = Load::start(&network).await?;
    tokio::time::sleep(AWAY).await;
    for _ in 0..2 {
        kill_and_start(&network, "redis", 0).await?;
    }
    check(load, Allowed::Nothing, SLOWEST).await
}

async fn a_wiped_bus_is_not_missed(network: Arc<Network>) -> Result<()> {
    let load = Load::start(&network).await?;
    tokio::time::sleep(AWAY).await;
    for _ in 0..2 {
        kill_and_start(&network, "nats", 0).await?;
    }
    check(load, Allowed::Nothing, SLOWEST).await
}

async fn the_database_may_restart(network: Arc<Network>) -> Result<()> {
    let load = Load::start(&network).await?;
    tokio::time::sleep(AWAY).await;
    network.act(|cluster| cluster.stop("postgres", 0)).await?;
    tokio::time::sleep(AWAY).await;
    network.act(|cluster| cluster.start("postgres", 0)).await?;
    tokio::time::sleep(AWAY).await;
    kill_and_start(&network, "postgres", 0).await?;
    check(load, Allowed::Unavailable, SLOWEST).await
}

/// As passwords do: the processes learn of it by a reload, and connections of the former role are cut.
async fn the_role_at_the_database_may_change(network: Arc<Network>) -> Result<()> {
    let load = Load::start(&network).await?;
    tokio::time::sleep(AWAY).await;
    network.act(change_role).await?;
    tokio::time::sleep(AWAY).await;
    check(load, Allowed::Unavailable, SLOWEST).await
}

fn change_role(cluster: &Cluster) -> Result<()> {
    const CUT: &str = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                       where application_name = 'matrixon' and usename = 'postgres'";
    const MADE: &str = "select count(*) from pg_stat_activity where usename = 'successor'";

    cluster.query("create role successor login superuser")?;
    for process in cluster.state()?.processes {
        let file = cluster.directory().join(format!("config/{}-{}.toml", process.role, process.index));
        let config = std::fs::read_to_string(&file)?;
        std::fs::write(&file, config.replace("postgres://postgres@", "postgres://successor@"))?;
        signal(process.pid.context("it does not run")?, Signal::HUP)?;
    }
    let end = Instant::now() + SLOWEST;
    while cluster.query(CUT)?.trim() != "0" || cluster.query(MADE)?.trim() == "0" {
        ensure!(Instant::now() < end, "connections are still made by the former role");
    }
    Ok(())
}

async fn a_rolling_restart_fails_nothing(network: Arc<Network>) -> Result<()> {
    let load = Load::start(&network).await?;
    tokio::time::sleep(AWAY).await;
    let processes = network.act(|cluster| Ok(cluster.state()?.processes)).await?;
    for process in processes {
        let (role, index) = (process.role, process.index);
        network
            .act(move |cluster| {
                cluster.stop(&role, index)?;
                cluster.start(&role, index)
            })
            .await?;
    }
    tokio::time::sleep(AWAY).await;
    check(load, Allowed::Nothing, SLOWEST).await
}

/// Both room processes die, one after the other, while a new name is on its way into many rooms; then it changes again.
async fn a_profile_change_survives_kills(network: Arc<Network>) -> Result<()> {
    let popular = Popular::new(&network.client).await?;
    popular.rename("First").await?;
    for index in 0..2 {
        network.act(move |cluster| cluster.kill("room", index)).await?;
        network.act(move |cluster| cluster.start("room", index)).await?;
    }
    popular.expect_everywhere("First").await?;
    popular.rename("Second").await?;
    network.act(|cluster| cluster.kill("auth", 0)).await?;
    network.act(|cluster| cluster.kill("room", 1)).await?;
    popular.expect_everywhere("Second").await?;
    network.act(|cluster| cluster.start("auth", 0)).await?;
    network.act(|cluster| cluster.start("room", 1)).await
}

/// A random process every three seconds, started again at once. `make soak` does it for an hour.
async fn random_kills(network: Arc<Network>) -> Result<()> {
    let load = Load::start(&network).await?;
    let processes = network.act(|cluster| Ok(cluster.state()?.processes)).await?;
    let end = Instant::now() + soak_time();
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let process = &processes[rand::random_range(0..processes.len())];
        let (role, index) = (process.role.clone(), process.index);
        network
            .act(move |cluster| {
                cluster.kill(&role, index)?;
                cluster.start(&role, index)
            })
            .await?;
    }
    tokio::time::sleep(AWAY).await;
    check(load, Allowed::LostConnections, SLOWEST).await
}

async fn to_device_messages_survive_kills(network: Arc<Network>) -> Result<()> {
    let roles = ["sync", "gateway", "room", "sync", "auth"];
    to_device::survive(network, |network, turn| async move {
        let (role, index) = (roles[turn % roles.len()], (turn / roles.len() % 2) as u32);
        network
            .act(move |cluster| {
                cluster.kill(role, index)?;
                cluster.start(role, index)
            })
            .await?;
        tokio::time::sleep(AWAY).await;
        Ok(())
    })
    .await
}

/// 20 s, or `MATRIXON_SOAK_SECONDS`.
pub(crate) fn soak_time() -> Duration {
    let seconds = std::env::var("MATRIXON_SOAK_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(20))
}

/// Each gateway knows only one process of each role, and not the same as the other.
async fn gateways_may_know_different_peers(network: Arc<Network>) -> Result<()> {
    let full = network.act(|cluster| (0..2).map(|gateway| limit_peers(cluster, gateway)).collect()).await;
    let full: Vec<String> = full?;
    let load = Load::start(&network).await?;
    tokio::time::sleep(2 * AWAY).await;
    let checked = check(load, Allowed::Nothing, SLOWEST).await;
    network
        .act(move |cluster| (0..2).zip(&full).try_for_each(|(gateway, config)| configure(cluster, gateway, config)))
        .await?;
    checked
}

/// What the gateway's configuration was.
fn limit_peers(cluster: &Cluster, gateway: u32) -> Result<String> {
    let full = std::fs::read_to_string(gateway_file(cluster, gateway))?;
    let mut config: toml::Table = toml::from_str(&full)?;
    if let Some(discovery) = config.get_mut("discovery").and_then(toml::Value::as_table_mut) {
        for (_, urls) in discovery.iter_mut() {
            let only = urls.get(gateway as usize).cloned();
            *urls = toml::Value::Array(only.into_iter().collect());
        }
    }
    configure(cluster, gateway, &toml::to_string(&config)?)?;
    Ok(full)
}

fn configure(cluster: &Cluster, gateway: u32, config: &str) -> Result<()> {
    cluster.stop("gateway", gateway)?;
    std::fs::write(gateway_file(cluster, gateway), config)?;
    cluster.start("gateway", gateway)
}

fn gateway_file(cluster: &Cluster, gateway: u32) -> PathBuf {
    cluster.directory().join(format!("config/gateway-{gateway}.toml"))
}
