//! Two versions side by side, on either schema: `MATRIXON_PREVIOUS_BIN` is the release before this one.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use matrixon_testkit::{Cluster, tests};

use crate::{
    load::Load,
    network::Network,
    verdict::{Allowed, check},
};

tests![Network: an_upgrade_and_the_way_back_fail_nothing];

const A_WHILE: Duration = Duration::from_millis(1_500);
const SLOWEST: Duration = Duration::from_secs(10);

/// Where the release before this one is, if it was given.
pub(crate) fn previous() -> Option<PathBuf> {
    std::env::var_os("MATRIXON_PREVIOUS_BIN").map(PathBuf::from)
}

fn current() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_matrixon"))
}

/// The schema of this version under the processes of the one before.
fn migrate(cluster: &Cluster) -> Result<()> {
    let state = cluster.state()?;
    let config = state.processes.first().and_then(|process| process.command.get(2)).context("no configuration")?;
    let output = Command::new(current()).args(["--config", config, "database", "migrate"]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// One process after the other.
async fn roll(network: &Network, binary: &Path) -> Result<()> {
    let processes = network.act(|cluster| Ok(cluster.state()?.processes)).await?;
    for process in processes {
        let (role, index, binary) = (process.role, process.index, binary.to_owned());
        network
            .act(move |cluster| {
                cluster.set_binary(&role, index, &binary)?;
                cluster.stop(&role, index)?;
                cluster.start(&role, index)
            })
            .await?;
    }
    Ok(())
}

async fn an_upgrade_and_the_way_back_fail_nothing(network: Arc<Network>) -> Result<()> {
    let previous = previous().context("MATRIXON_PREVIOUS_BIN")?;
    let load = Load::start(&network).await?;
    tokio::time::sleep(A_WHILE).await;
    network.act(migrate).await?;
    tokio::time::sleep(A_WHILE).await;
    roll(&network, current()).await?;
    tokio::time::sleep(A_WHILE).await;
    // the schema stays: migrations only add
    roll(&network, &previous).await?;
    tokio::time::sleep(A_WHILE).await;
    check(load, Allowed::Nothing, SLOWEST).await
}
