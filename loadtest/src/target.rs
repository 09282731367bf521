//! The server under load: its client URLs, and the processes whose CPU and memory count.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use serde_json::Value;

#[derive(Args, Clone, Debug)]
pub(crate) struct TargetArgs {
    /// `DIR/cluster.json` of a development cluster: gives URLs and processes.
    #[arg(long, conflicts_with = "url")]
    cluster: Option<PathBuf>,
    /// Client URL of a server on loopback; repeatable: sessions are spread over them.
    #[arg(long)]
    url: Vec<String>,
    /// Process whose CPU and memory (with its descendants') count; repeatable or comma-separated.
    #[arg(long, value_delimiter = ',')]
    pid: Vec<u32>,
}

#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// `127.0.0.1:PORT`
    pub(crate) addresses: Arc<[String]>,
    pub(crate) pids: Vec<u32>,
    /// Directory of the development cluster, if it is one.
    pub(crate) directory: Option<PathBuf>,
}

impl TargetArgs {
    pub(crate) fn of_cluster(path: PathBuf) -> Self {
        Self { cluster: Some(path), url: Vec::new(), pid: Vec::new() }
    }

    pub(crate) fn of_url(url: String, pid: Vec<u32>) -> Self {
        Self { cluster: None, url: vec![url], pid }
    }

    pub(crate) fn load(&self) -> anyhow::Result<Target> {
        let Some(path) = &self.cluster else {
            ensure!(!self.url.is_empty(), "give --cluster DIR/cluster.json or --url http://127.0.0.1:PORT");
            return Target::new(&self.url, self.pid.clone());
        };
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let cluster: Value = serde_json::from_str(&text)?;
        let urls: Vec<String> = serde_json::from_value(cluster["client_urls"].clone())?;
        let mut pids: Vec<u32> = Vec::new();
        let mut add = |value: &Value| pids.extend(value["pid"].as_u64().map(|pid| pid as u32));
        cluster["processes"].as_array().into_iter().flatten().for_each(&mut add);
        for name in ["postgres", "redis", "nats"] {
            add(&cluster[name]);
        }
        let directory = path.parent().map(Path::to_owned);
        Ok(Target { directory, ..Target::new(&urls, pids)? })
    }
}

impl Target {
    pub(crate) fn new(urls: &[String], pids: Vec<u32>) -> anyhow::Result<Self> {
        let mut addresses = Vec::new();
        for url in urls {
            let uri: http::Uri = url.parse().with_context(|| format!("`{url}` is not a URL"))?;
            let host = uri.host().unwrap_or_default();
            if !matches!(host, "127.0.0.1" | "localhost" | "[::1]") {
                bail!("{url} is not on loopback; this program loads servers of this machine only");
            }
            addresses.push(format!("{host}:{}", uri.port_u16().unwrap_or(80)));
        }
        Ok(Self { addresses: addresses.into(), pids, directory: None })
    }
}
