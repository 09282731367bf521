//! What stands between clients and gateways in production: a load balancer that looks at `/readyz`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use futures::future::join_all;
use matrixon_testkit::{Cluster, client::Client};
use tokio::{runtime::Runtime, task::JoinHandle};

/// How often the balancer asks a gateway. Well within the drain delay (2 s) of the development cluster.
const PROBE_EVERY: Duration = Duration::from_millis(200);

pub(crate) struct Network {
    pub cluster: Arc<Cluster>,
    pub client: Client,
    ready: Arc<[AtomicBool]>,
    turn: AtomicUsize,
    prober: JoinHandle<()>,
}

impl Network {
    pub(crate) fn start(runtime: &Runtime, cluster: Cluster) -> Result<Self> {
        let client = Client::new(cluster.client_urls())?;
        let addresses: Vec<String> = cluster
            .state()?
            .processes
            .iter()
            .filter(|process| matches!(process.role.as_str(), "gateway" | "all"))
            .map(|process| format!("{}/readyz", process.internal_url))
            .collect();
        let ready: Arc<[AtomicBool]> = addresses.iter().map(|_| AtomicBool::new(true)).collect();
        let http =
            matrixon_testkit::client::http().timeout(Duration::from_secs(1)).pool_max_idle_per_host(0).build()?;
        let prober = runtime.spawn(probe(http, addresses, Arc::clone(&ready)));
        Ok(Self { cluster: Arc::new(cluster), client, ready, turn: AtomicUsize::new(0), prober })
    }

    /// The next gateway in rotation.
    pub(crate) fn pick(&self) -> usize {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let all = self.ready.len();
        let found = (0..all).map(|step| (turn + step) % all).find(|index| self.ready[*index].load(Ordering::Relaxed));
        found.unwrap_or(turn % all)
    }

    /// Does something to the cluster that blocks.
    pub(crate) async fn act<T: Send + 'static>(
        &self,
        action: impl FnOnce(&Cluster) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let cluster = Arc::clone(&self.cluster);
        tokio::task::spawn_blocking(move || action(&cluster)).await.context("the action panicked")?
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.prober.abort();
    }
}

async fn probe(http: reqwest::Client, probes: Vec<String>, ready: Arc<[AtomicBool]>) {
    let mut ticks = tokio::time::interval(PROBE_EVERY);
    loop {
        ticks.tick().await;
        join_all(probes.iter().zip(ready.iter()).map(|(url, ready)| probe_one(&http, url, ready))).await;
    }
}

async fn probe_one(http: &reqwest::Client, url: &str, ready: &AtomicBool) {
    match http.get(url).send().await {
        Ok(response) => ready.store(response.status() == 200, Ordering::Relaxed),
        // late, on a machine that is busy with us
        Err(error) if error.is_timeout() => {}
        Err(_) => ready.store(false, Ordering::Relaxed),
    }
}
