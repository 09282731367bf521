//! All roles of the cluster as this process sees them.

use std::{collections::HashMap, sync::Arc};

use http::{HeaderValue, Request};
use matrixon_runtime::{role::Role, shutdown::Shutdown};
use tonic::body::Body;
use tower::{ServiceExt as _, util::BoxCloneSyncService};

use crate::{
    Config, Rpc, discovery,
    dispatch::{Dispatch, Target},
    request,
    timing::Timing,
};

/// The header by which a process shows that it belongs to the cluster.
pub const CALLER: &str = "x-matrixon-caller";

/// One client per role. Cheap to clone; its background tasks end with the process's [`Shutdown`].
#[derive(Clone)]
pub struct Peers {
    roles: Arc<HashMap<Role, Entry>>,
}

struct Entry {
    rpc: Rpc,
    target: Target,
}

/// What is known of one replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// `host:port`, or `local`.
    pub address: String,
    pub state: ReplicaState,
    pub in_flight: usize,
    pub connections: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicaState {
    /// Not asked yet.
    Unknown,
    /// Takes calls.
    Ready,
    /// Answers, but does not want new calls.
    Draining,
    /// Does not answer.
    Down,
}

impl Peers {
    /// Starts looking for the replicas of every role that does not run in this process. Must be called within a tokio runtime.
    #[expect(clippy::needless_pass_by_value, reason = "the process hands its life cycle over")]
    pub fn new(config: Config, locals: HashMap<Role, Rpc>, shutdown: Shutdown) -> Self {
        // Nobody calls a gateway: its replicas would be probed for nothing.
        let callees = Role::ALL.into_iter().filter(|role| *role != Role::Gateway);
        Self::of_roles(callees, &config, locals, &shutdown, Timing::default())
    }

    /// Every role with its gateways, none of them in this process: for whoever looks after the cluster.
    pub fn of_all(config: &Config, shutdown: &Shutdown) -> Self {
        Self::of_roles(Role::ALL.into_iter(), config, HashMap::new(), shutdown, Timing::default())
    }

    #[cfg(test)]
    pub(crate) fn with_timing(
        config: &Config,
        locals: HashMap<Role, Rpc>,
        shutdown: &Shutdown,
        timing: Timing,
    ) -> Self {
        Self::of_roles(Role::ALL.into_iter(), config, locals, shutdown, timing)
    }

    fn of_roles(
        wanted: impl Iterator<Item = Role>,
        config: &Config,
        mut locals: HashMap<Role, Rpc>,
        shutdown: &Shutdown,
        timing: Timing,
    ) -> Self {
        let wanted: Vec<Role> = wanted.collect();
        let mut roles = HashMap::new();
        let mut places = Vec::new();
        for role in Role::ALL {
            let target = match locals.remove(&role) {
                Some(rpc) => Target::Local(rpc),
                None if !wanted.contains(&role) => Target::Nowhere,
                None => match discovery::start(config, role, shutdown, timing) {
                    Some(place) => {
                        places.push((role, place.clone()));
                        Target::Remote(place.members.clone())
                    }
                    None => Target::Nowhere,
                },
            };
            let rpc = BoxCloneSyncService::new(Dispatch::new(role, target.clone()));
            roles.insert(role, Entry { rpc, target });
        }
        discovery::start_kubernetes(config, places.into_iter(), shutdown);
        Self { roles: Arc::new(roles) }
    }

    /// The same, with the header [`CALLER`] on every gRPC call that leaves this process; `sign` gets the path that is called.
    #[must_use]
    pub fn signing(self, sign: impl Fn(&str) -> HeaderValue + Clone + Send + Sync + 'static) -> Self {
        let signed = |entry: &Entry| {
            let sign = sign.clone();
            let sign_call = move |mut request: Request<Body>| {
                if request::is_grpc(request.uri().path()) {
                    let value = sign(request.uri().path());
                    request.headers_mut().insert(CALLER, value);
                }
                request
            };
            match &entry.target {
                Target::Remote(_) => BoxCloneSyncService::new(entry.rpc.clone().map_request(sign_call)),
                Target::Local(_) | Target::Nowhere => entry.rpc.clone(),
            }
        };
        let entries = self.roles.iter().map(|(role, entry)| {
            let signed = Entry { rpc: signed(entry), target: entry.target.clone() };
            (*role, signed)
        });
        Self { roles: Arc::new(entries.collect()) }
    }

    /// The client of a role: the role itself where it runs in this process, otherwise its replicas, balanced and retried.
    pub fn role(&self, role: Role) -> Rpc {
        self.roles[&role].rpc.clone()
    }

    /// The known replicas of a role, for status pages. A role that runs here is one replica, `local`, that is always ready.
    pub fn replicas(&self, role: Role) -> Vec<ReplicaStatus> {
        match &self.roles[&role].target {
            Target::Local(_) => vec![ReplicaStatus {
                address: "local".to_owned(),
                state: ReplicaState::Ready,
                in_flight: 0,
                connections: 0,
            }],
            Target::Remote(members) => members.statuses(),
            Target::Nowhere => Vec::new(),
        }
    }

    #[cfg(test)]
    pub(crate) fn members(&self, role: Role) -> Arc<crate::replica::members::Members> {
        match &self.roles[&role].target {
            Target::Remote(members) => members.clone(),
            _ => panic!("{role} has no replicas"),
        }
    }

    /// The replicas that take calls now.
    pub fn ready(&self, role: Role) -> Vec<ReplicaStatus> {
        let mut ready = self.replicas(role);
        ready.retain(|replica| replica.state == ReplicaState::Ready);
        ready
    }
}
