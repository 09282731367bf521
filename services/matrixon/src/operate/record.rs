//! What operators do to processes, in the audit log. The command has it recorded and not the process: most roles know no
//! replica of auth and are let through to none, but who may ask every process finds auth among them, in every topology.
//!
//! It is done as well as it can be: an operation must be possible when auth or its database is away.

use std::{collections::HashMap, sync::OnceLock, time::Duration};

use futures::{StreamExt as _, stream};
use matrixon_http::{Assertion, Signer, header::IDENTITY};
use matrixon_proto::auth::v1::{RecordAuditRequest, audit_log_client::AuditLogClient};
use matrixon_rpc::{Address, Config as Discovery, Peers, Rpc};
use matrixon_runtime::{clock::Clock, config::ClusterConfig, random, role::Role, shutdown::Shutdown};
use serde_json::{Map, Value};
use tonic::Request;

use super::{LIFETIME_MS, Replica, WIDTH, operator};
use crate::compose::Calls;

/// How long a record may hold an operation up.
const WITHIN: Duration = Duration::from_secs(5);
/// Characters of a text in the details.
const MAX_CHARS: usize = 255;

/// Something that is done to processes.
#[derive(Clone, Debug)]
pub(crate) struct Deed {
    /// What the audit log calls it.
    action: &'static str,
    pub(super) path: String,
    details: Map<String, Value>,
    /// The process goes away, perhaps the last one that could record it: it is recorded before.
    ends: bool,
}

impl Deed {
    pub(crate) fn new(action: &'static str, path: impl Into<String>) -> Self {
        Self { action, path: path.into(), details: Map::new(), ends: false }
    }

    pub(crate) fn ending(action: &'static str) -> Self {
        Self { ends: true, ..Self::new(action, "/drain") }
    }

    #[must_use]
    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.details.insert(key.to_owned(), cut(value.into()));
        self
    }
}

/// Where it is recorded.
pub(crate) struct Log {
    auth: Vec<Address>,
    cluster: ClusterConfig,
    signer: Signer,
    clock: Clock,
    rpc: OnceLock<Rpc>,
}

impl Log {
    /// `replicas`: all that were found.
    pub(super) fn new(cluster: &ClusterConfig, replicas: &[Replica]) -> Self {
        let auth = replicas.iter().filter(|replica| replica.has(Role::Auth));
        Self {
            auth: auth.filter_map(|replica| replica.address.parse().ok()).collect(),
            cluster: cluster.clone(),
            // as a gateway asserts who administers
            signer: Signer::new(cluster.secret.expose().as_bytes()),
            clock: Clock::system(),
            rpc: OnceLock::new(),
        }
    }

    /// Before it is done.
    pub(super) async fn begin(&self, deed: &Deed, replicas: &[Replica]) {
        if deed.ends {
            let records = stream::iter(replicas);
            records.for_each_concurrent(WIDTH, |replica| self.record(deed, replica, "asked", None)).await;
        }
    }

    /// When it has been done, or could not be.
    pub(crate) async fn end(&self, deed: &Deed, replica: &Replica, answer: &Result<String, String>) {
        match answer {
            Ok(_) if deed.ends => {}
            Ok(_) => self.record(deed, replica, "ok", None).await,
            Err(error) => self.record(deed, replica, "failed", Some(error)).await,
        }
    }

    async fn record(&self, deed: &Deed, replica: &Replica, result: &str, error: Option<&str>) {
        let mut details = deed.details.clone();
        let known = replica.status.as_ref().ok();
        let more = [
            ("service", known.map(|status| status.service.as_str())),
            ("host", known.map(|status| status.host.as_str())),
            ("error", error.map(str::trim_end)),
        ];
        let more = more.into_iter().filter_map(|(key, value)| Some((key.to_owned(), cut(value?.into()))));
        details.extend(more);
        let mut request = Request::new(RecordAuditRequest {
            via: "cli".to_owned(),
            action: deed.action.to_owned(),
            target: replica.address.clone(),
            result: result.to_owned(),
            details: Value::Object(details).to_string(),
        });
        request.metadata_mut().as_mut().insert(IDENTITY, self.signer.sign(&self.assertion()));
        request.set_timeout(WITHIN);
        if let Err(status) = AuditLogClient::new(self.rpc()).record(request).await {
            let (action, name) = (deed.action, replica.name());
            eprintln!("matrixon: {action} of {name} is not in the audit log: {}", status.message());
        }
    }

    fn assertion(&self) -> Assertion {
        Assertion {
            machine: Some(operator()),
            request_id: random::id(16),
            idempotency_key: random::id(22),
            expires_ms: self.clock.now_ms() + LIFETIME_MS,
            ..Assertion::default()
        }
    }

    /// Connects when there is something to record.
    fn rpc(&self) -> Rpc {
        let connect = || {
            let discovery = Discovery { auth: self.auth.clone(), ..Discovery::default() };
            let calls = Calls::new(&self.cluster, self.clock.clone());
            let peers = Peers::new(discovery, HashMap::new(), Shutdown::new());
            peers.signing(move |path| calls.sign(path)).role(Role::Auth)
        };
        self.rpc.get_or_init(connect).clone()
    }
}

/// A record stays a record.
fn cut(value: Value) -> Value {
    match value {
        Value::String(text) => text.chars().take(MAX_CHARS).collect::<String>().into(),
        other => other,
    }
}
