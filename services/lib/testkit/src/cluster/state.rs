//! `cluster.json`: the contract with other tools. Written whole and renamed into place, so that a reader
//! never sees half of it; `pid` is null while something is stopped or killed.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::servers::{Kind, tls::Wire};

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ClusterState {
    pub server_name: String,
    pub client_urls: Vec<String>,
    pub processes: Vec<ProcessState>,
    pub postgres: Option<ServerState>,
    pub redis: Option<ServerState>,
    pub nats: Option<ServerState>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ProcessState {
    /// A role, or `all` for the one process of the single topologies.
    pub role: String,
    pub index: u32,
    pub pid: Option<u32>,
    /// Of a gateway (and of `all`) the clients' address, of the others their address in the cluster.
    pub http_url: String,
    /// Probes and metrics.
    pub internal_url: String,
    pub command: Vec<String>,
    pub log: PathBuf,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ServerState {
    pub url: String,
    pub wire: Wire,
    pub pid: Option<u32>,
}

impl ClusterState {
    pub fn process(&self, role: &str, index: u32) -> Option<&ProcessState> {
        self.processes.iter().find(|process| process.role == role && process.index == index)
    }

    pub fn server(&self, kind: Kind) -> Option<&ServerState> {
        match kind {
            Kind::Postgres => self.postgres.as_ref(),
            Kind::Redis => self.redis.as_ref(),
            Kind::Nats => self.nats.as_ref(),
        }
    }

    pub(crate) fn server_mut(&mut self, kind: Kind) -> &mut Option<ServerState> {
        match kind {
            Kind::Postgres => &mut self.postgres,
            Kind::Redis => &mut self.redis,
            Kind::Nats => &mut self.nats,
        }
    }
}

impl ServerState {
    /// The port in the URL.
    pub fn port(&self) -> Result<u16> {
        let (_, after) = self.url.rsplit_once(':').context("a server without a port")?;
        after.split('/').next().unwrap_or(after).parse().with_context(|| format!("no port in {}", self.url))
    }
}

fn file(directory: &Path) -> PathBuf {
    directory.join("cluster.json")
}

pub(crate) fn read(directory: &Path) -> Result<ClusterState> {
    let file = file(directory);
    let text = fs::read_to_string(&file).with_context(|| format!("there is no cluster: {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is damaged", file.display()))
}

pub(crate) fn write(directory: &Path, state: &ClusterState) -> Result<()> {
    let fresh = directory.join("cluster.json.new");
    fs::write(&fresh, serde_json::to_string_pretty(state)? + "\n")?;
    fs::rename(&fresh, file(directory))?;
    Ok(())
}

/// Reads, changes and writes, one program at a time.
pub(crate) fn update(directory: &Path, change: impl FnOnce(&mut ClusterState)) -> Result<()> {
    let lock = File::create(directory.join(".lock"))?;
    lock.lock()?;
    let mut state = read(directory)?;
    change(&mut state);
    write(directory, &state)
}
