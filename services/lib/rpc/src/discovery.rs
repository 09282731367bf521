//! Keeps the list of a role's replicas: what is written in the configuration, and what DNS and Kubernetes say now.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use matrixon_runtime::{role::Role, shutdown::Shutdown};
use tokio::{
    select,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Address, Config, config::Kubernetes, metrics, places::Place, replica::members::Members, resolve::Resolver,
    timing::Timing,
};

/// Answers that come faster than this are the same answer.
const RESOLVE_PAUSE: Duration = Duration::from_millis(250);
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// `None`: the configuration knows no replica of this role.
pub(crate) fn start(config: &Config, role: Role, shutdown: &Shutdown, timing: Timing) -> Option<Arc<Place>> {
    let listed = config.listed(role).to_vec();
    let name = config.dns_name(role).cloned();
    if !config.is_configured(role) {
        return None;
    }
    metrics::init(role);
    let stop = CancellationToken::new();
    let place = Arc::new(Place::new(Arc::new(Members::new(role, stop.clone(), timing)), listed));
    if let Some(name) = name {
        match Resolver::new(config.name_server) {
            Ok(resolver) => {
                let follow = follow(place.clone(), resolver, name);
                let stop = stop.clone();
                tokio::spawn(async move { stop.run_until_cancelled(follow).await });
            }
            Err(error) => tracing::error!(%role, %error, "dns cannot be used, only listed replicas are known"),
        }
    }
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        shutdown.wait_stopped().await;
        stop.cancel();
    });
    Some(place)
}

/// Follows the Services of all roles that are elsewhere, with one watch.
pub(crate) fn start_kubernetes(config: &Config, places: impl Iterator<Item = (Role, Arc<Place>)>, shutdown: &Shutdown) {
    let services: BTreeMap<String, Arc<Place>> =
        places.filter_map(|(role, place)| Some((config.service(role)?.clone(), place))).collect();
    if services.is_empty() {
        return;
    }
    watch(config.kubernetes.clone(), services, shutdown);
}

#[cfg(feature = "kubernetes")]
fn watch(config: Kubernetes, services: BTreeMap<String, Arc<Place>>, shutdown: &Shutdown) {
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        select! {
            () = crate::kubernetes::follow(config, services) => {}
            () = shutdown.wait_stopped() => {}
        }
    });
}

#[cfg(not(feature = "kubernetes"))]
fn watch(config: Kubernetes, services: BTreeMap<String, Arc<Place>>, _shutdown: &Shutdown) {
    let (services, namespace) = (services.into_keys().collect::<Vec<_>>().join(", "), config.namespace);
    tracing::error!(
        services,
        namespace,
        "this build cannot watch endpoints (no feature `kubernetes`): only `discovery.dns` and lists count"
    );
}

async fn follow(place: Arc<Place>, resolver: Resolver, name: Address) {
    let members = &place.members;
    loop {
        match timeout(RESOLVE_TIMEOUT, resolver.resolve(&name)).await {
            // An empty answer is a cluster restarting as often as one that is gone: the probes know better.
            Ok(Ok(found)) if !found.is_empty() => place.set_dns(found),
            Ok(Ok(_)) => tracing::debug!(role = %members.role, %name, "dns name has no addresses"),
            Ok(Err(error)) => tracing::debug!(role = %members.role, %name, %error, "dns name cannot be resolved"),
            Err(_) => tracing::debug!(role = %members.role, %name, "dns does not answer"),
        }
        sleep(RESOLVE_PAUSE.min(members.timing.resolve)).await;
        select! {
            () = sleep(members.timing.resolve.saturating_sub(RESOLVE_PAUSE)) => {}
            () = members.look.notified() => {}
        }
    }
}
