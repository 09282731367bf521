//! One process on `SQLite`.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use matrixon_testkit::tests;

use crate::{
    load::Load,
    network::Network,
    profiles::Popular,
    to_device,
    verdict::{Allowed, check},
};

tests![Network: a_killed_process_has_lost_nothing, a_stopped_process_has_lost_nothing, to_device_messages_survive_kills,
    a_profile_change_survives_a_kill];

async fn a_killed_process_has_lost_nothing(network: Arc<Network>) -> Result<()> {
    let load = Load::start(&network).await?;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        network.act(|cluster| cluster.kill("all", 0)).await?;
        network.act(|cluster| cluster.start("all", 0)).await?;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    check(load, Allowed::LostConnections, Duration::from_secs(10)).await
}

async fn a_stopped_process_has_lost_nothing(network: Arc<Network>) -> Result<()> {
    let load = Load::start(&network).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    network.act(|cluster| cluster.stop("all", 0)).await?;
    network.act(|cluster| cluster.start("all", 0)).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    check(load, Allowed::LostConnections, Duration::from_secs(15)).await
}

async fn to_device_messages_survive_kills(network: Arc<Network>) -> Result<()> {
    to_device::survive(network, |network, _| async move {
        network.act(|cluster| cluster.kill("all", 0)).await?;
        network.act(|cluster| cluster.start("all", 0)).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(())
    })
    .await
}

/// The process dies while a new name is on its way into many rooms.
async fn a_profile_change_survives_a_kill(network: Arc<Network>) -> Result<()> {
    let popular = Popular::new(&network.client).await?;
    popular.rename("First").await?;
    network.act(|cluster| cluster.kill("all", 0)).await?;
    network.act(|cluster| cluster.start("all", 0)).await?;
    popular.expect_everywhere("First").await
}
