//! The command's side: finds every replica and asks it.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, stream};
use matrixon_http::Signer;
use matrixon_rpc::{Peers, ReplicaState};
use matrixon_runtime::{clock::Clock, role::Role, shutdown::Shutdown};
use tokio::time::{Instant, sleep};

use super::{
    OPERATOR, PREFIX, Status, WIDTH,
    record::{Deed, Log},
};
use crate::{failure::Failure, run_file, settings::Settings};

/// How long discovery may take to name the replicas and to ask each whether it is there.
const DISCOVERY: Duration = Duration::from_secs(4);
const ANSWER: Duration = Duration::from_secs(5);

/// A replica as discovery knows it, and what it says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Replica {
    pub(crate) address: String,
    /// The role under which it was found.
    pub(crate) role: Option<Role>,
    pub(crate) status: Result<Status, String>,
}

impl Replica {
    /// Is it meant by this role, address or name of a pod?
    pub(crate) fn is(&self, target: &str) -> bool {
        let says = |status: &Status| {
            status.host == target || status.service == target || status.roles.iter().any(|role| role == target)
        };
        target == "all"
            || self.address == target
            || self.role.is_some_and(|role| role.as_str() == target)
            || self.status.as_ref().is_ok_and(says)
    }

    pub(super) fn has(&self, role: Role) -> bool {
        let says = |status: &Status| status.roles.iter().any(|name| name == role.as_str());
        self.role == Some(role) || self.status.as_ref().is_ok_and(says)
    }

    pub(crate) fn name(&self) -> String {
        let service = self.status.as_ref().map(|status| status.service.clone());
        let role = self.role.map(|role| role.as_str().to_owned());
        format!("{} {}", service.ok().or(role).unwrap_or_default(), self.address)
    }
}

/// An answer of a replica.
pub(crate) struct Asked {
    pub(crate) replica: Replica,
    pub(crate) answer: Result<String, String>,
}

pub(crate) struct Operator {
    client: reqwest::Client,
    signer: Signer,
    clock: Clock,
}

impl Operator {
    pub(crate) fn new(settings: &Settings) -> Result<Self> {
        let secret = &settings.config.cluster.secret;
        ensure!(!secret.is_empty(), "`cluster.secret` is missing: only who has it may ask the processes");
        let client = reqwest::Client::builder().connect_timeout(Duration::from_secs(2)).no_proxy().build()?;
        Ok(Self { client, signer: super::signer(&settings.config.cluster), clock: Clock::system() })
    }

    /// Every replica of every role.
    pub(crate) async fn find(&self, settings: &Settings) -> Result<Vec<Replica>> {
        let found = if settings.embedded { embedded(settings)? } else { discover(settings).await? };
        let mut replicas: Vec<Replica> = stream::iter(found)
            .map(|(address, role)| async move {
                let asked = self.call("GET", &address, "/status", ANSWER).await;
                let status = asked.and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()));
                Replica { address, role, status }
            })
            .buffer_unordered(WIDTH)
            .collect()
            .await;
        replicas.sort_by(|a, b| (a.role, &a.address).cmp(&(b.role, &b.address)));
        Ok(replicas)
    }

    /// Those that are meant by `target`, of which there is one at least, and where to record what is done to them.
    pub(crate) async fn find_meant(&self, settings: &Settings, target: &str) -> Result<(Vec<Replica>, Log)> {
        let replicas = self.find(settings).await?;
        let log = Log::new(&settings.config.cluster, &replicas);
        let known: Vec<String> = replicas.iter().map(Replica::name).collect();
        let meant: Vec<Replica> = replicas.into_iter().filter(|replica| replica.is(target)).collect();
        if meant.is_empty() {
            let text =
                format!("there is no `{target}`: give a role, the name of a pod, or one of {}", known.join(", "));
            return Err(Failure::failed(text).into());
        }
        Ok((meant, log))
    }

    /// Asks all that are meant by `target` for something.
    pub(crate) async fn ask(&self, settings: &Settings, target: &str, path: &str) -> Result<Vec<Asked>> {
        let (meant, _) = self.find_meant(settings, target).await?;
        Ok(self.call_all("GET", meant, path).await)
    }

    /// Does something to all that are meant by `target`, and has it recorded.
    pub(crate) async fn act(&self, settings: &Settings, target: &str, deed: &Deed) -> Result<Vec<Asked>> {
        let (meant, log) = self.find_meant(settings, target).await?;
        log.begin(deed, &meant).await;
        let asked = self.call_all("POST", meant, &deed.path).await;
        let ends = stream::iter(&asked);
        ends.for_each_concurrent(WIDTH, |one| log.end(deed, &one.replica, &one.answer)).await;
        Ok(asked)
    }

    async fn call_all(&self, method: &str, replicas: Vec<Replica>, path: &str) -> Vec<Asked> {
        let answers = stream::iter(replicas).map(|replica| async move {
            let answer = self.call(method, &replica.address, path, ANSWER).await;
            Asked { replica, answer }
        });
        answers.buffered(WIDTH).collect().await
    }

    pub(crate) async fn call(
        &self,
        method: &str,
        address: &str,
        path: &str,
        within: Duration,
    ) -> Result<String, String> {
        let path = format!("{PREFIX}{path}");
        let assertion = super::assertion(method, &path, self.clock.now_ms());
        let method: reqwest::Method = method.parse().map_err(|_| format!("{method} is no method"))?;
        let request = self
            .client
            .request(method, format!("http://{address}{path}"))
            .header(OPERATOR, self.signer.sign(&assertion))
            .timeout(within);
        let response = request.send().await.map_err(|error| reason(&error))?;
        let status = response.status();
        let text = response.text().await.map_err(|error| reason(&error))?;
        if status.is_success() { Ok(text) } else { Err(format!("{}: {}", status.as_u16(), text.trim_end())) }
    }
}

/// The innermost cause: the outer ones repeat the URL.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// The one process on this machine, which says where it listens in a file.
fn embedded(settings: &Settings) -> Result<BTreeMap<String, Option<Role>>> {
    let run = run_file::read(&settings.config.server.data_dir)?;
    let advice =
        "no process runs on this data directory; start it with `matrixon serve`, or give the --config of the cluster";
    let run = run.context(advice).map_err(|error| Failure::failed(error.to_string()))?;
    Ok(BTreeMap::from([(run.cluster, None)]))
}

async fn discover(settings: &Settings) -> Result<BTreeMap<String, Option<Role>>> {
    let shutdown = Shutdown::new();
    let peers = Peers::of_all(&settings.config.discovery, &shutdown);
    let end = Instant::now() + DISCOVERY;
    let found = loop {
        let replicas = || Role::ALL.into_iter().map(|role| (role, peers.replicas(role)));
        let settled = replicas().all(|(role, replicas)| {
            let known = !replicas.is_empty() || !settings.config.discovery.is_configured(role);
            known && replicas.iter().all(|replica| replica.state != ReplicaState::Unknown)
        });
        if settled || Instant::now() >= end {
            let named = replicas()
                .flat_map(|(role, replicas)| replicas.into_iter().map(move |replica| (replica.address, Some(role))));
            break named.collect::<BTreeMap<_, _>>();
        }
        sleep(Duration::from_millis(50)).await;
    };
    shutdown.stop();
    if found.is_empty() {
        let text = "no replicas are known: `discovery` in this configuration names none, or they are all away";
        return Err(Failure::failed(text.to_owned()).into());
    }
    Ok(found)
}
