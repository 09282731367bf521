//! A Matrixon of real processes on this machine: the development cluster, and what tests run against.
//!
//! Everything about a cluster is in its directory; `cluster.json` there is the contract with other tools
//! (see [`state`]). [`Cluster`] is for tests and ends with them, [`Site`] is what the program
//! `matrixon-cluster` uses: it finds a cluster by its directory and leaves it running.

mod config;
mod control;
mod options;
mod ready;
mod state;
mod up;

pub use control::{Site, Target};
pub use options::{Options, Profile, ROLES, Topology};
pub use state::{ClusterState, ProcessState, ServerState};

use std::{
    ops::Deref,
    path::{Path, PathBuf},
};

use anyhow::Result;
use tempfile::TempDir;

use crate::{servers, watchdog::Watchdog};

/// A cluster that ends when it is dropped, or when the program that holds it ends in any way.
///
/// Dereferences to [`Site`] for `kill`, `stop`, `start` and `state`.
#[derive(Debug)]
pub struct Cluster {
    site: Site,
    client_urls: Vec<String>,
    _watchdog: Watchdog,
    _temporary: Option<TempDir>,
}

impl Cluster {
    /// Starts a cluster in a temporary directory and waits until every process is ready.
    pub fn start(topology: Topology, options: &Options) -> Result<Self> {
        let directory = servers::open_temporary("cluster")?;
        let path = directory.path().to_owned();
        Self::launch(&path, topology, options, Some(directory))
    }

    /// The same with data, configuration and logs kept in `directory`.
    pub fn start_in(directory: &Path, topology: Topology, options: &Options) -> Result<Self> {
        Self::launch(directory, topology, options, None)
    }

    fn launch(path: &Path, topology: Topology, options: &Options, temporary: Option<TempDir>) -> Result<Self> {
        let options = Options { topology, ..options.clone() };
        let site = Site::create(path)?;
        let watchdog = Watchdog::start(site.directory(), temporary.is_some())?;
        let state = site.up(&options)?;
        Ok(Self { site, client_urls: state.client_urls, _watchdog: watchdog, _temporary: temporary })
    }

    /// One address for each gateway.
    pub fn client_urls(&self) -> &[String] {
        &self.client_urls
    }

    /// Where the processes' logs are.
    pub fn logs(&self) -> PathBuf {
        self.site.directory().join("logs")
    }
}

impl Deref for Cluster {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.site.down() {
            eprintln!("the cluster in {} did not end cleanly: {error:#}", self.site.directory().display());
        }
    }
}
