//! The edge: the two public ports.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use matrixon_gateway::{Deps, Service, build as build_gateway, tls::Tls};
use matrixon_http::RouteInfo;
use matrixon_rpc::Peers;
use matrixon_runtime::{
    role::Role,
    serve::{self, Accept, HttpService, ServeOptions},
    shutdown::Shutdown,
};
use tokio::{net::TcpListener, task::JoinHandle};

use super::Base;

/// The built gateway and how its ports speak.
pub(crate) struct Front {
    service: Service,
    tls: Option<Tls>,
}

pub(crate) async fn build(base: &Base) -> Result<Front> {
    let config = &base.settings.config;
    let deps = Deps {
        peers: base.peers.clone(),
        bus: base.bus.clone(),
        cache: base.cache.clone(),
        routes: routes(),
        cluster: config.cluster.clone(),
        server: config.server.clone(),
        shutdown: base.shutdown.clone(),
        clock: base.clock.clone(),
    };
    let service = build_gateway(&config.gateway, deps).await?;
    let set_rate_limits = service.rate_limits_setter();
    base.on_reload("gateway.rate_limits", move |config| {
        set_rate_limits(config.gateway.rate_limits);
        Ok(())
    });
    let (peers, met) = (base.peers.clone(), AtomicBool::new(false));
    base.health.check("peers", move || meet(&peers, &met));
    let set_secret = service.secret_setter();
    base.on_reload("cluster.secret of the gateway", move |config| {
        let secret = config.cluster.secret.expose();
        // an embedded process keeps its own in a file that nobody rotates while it runs
        if !secret.is_empty() {
            set_secret(secret.as_bytes());
        }
        Ok(())
    });
    let tls = Tls::load(&config.listen)?;
    if let Some(tls) = tls.clone() {
        base.on_reload("listen.tls_certificate", move |config| {
            tls.reload(&config.listen).map_err(|error| error.to_string())
        });
    }
    Ok(Front { service, tls })
}

/// A new gateway takes clients once it has found somebody for everything they need. Later an absent role is no reason to send
/// clients away: they get an answer that says so.
fn meet(peers: &Peers, met: &AtomicBool) -> Result<(), String> {
    if !met.load(Ordering::Relaxed) {
        if let Some(role) = [Role::Auth, Role::Room, Role::Sync].into_iter().find(|role| peers.ready(*role).is_empty())
        {
            return Err(format!("no replica of the {role} role yet"));
        }
        met.store(true, Ordering::Relaxed);
    }
    Ok(())
}

/// What the services registered, wherever they run.
fn routes() -> Vec<RouteInfo> {
    [
        matrixon_auth::routes(),
        matrixon_room::routes(),
        matrixon_sync::routes(),
        matrixon_media::routes(),
        matrixon_federation::routes(),
    ]
    .concat()
}

impl Front {
    pub(crate) fn serve(
        self,
        (client, federation): (TcpListener, TcpListener),
        admin: Option<TcpListener>,
        shutdown: &Shutdown,
    ) -> Vec<JoinHandle<()>> {
        let Service { client: for_clients, federation: for_servers, admin: for_admins, .. } = self.service;
        let mut ports = vec![(client, for_clients), (federation, for_servers)];
        ports.extend(admin.map(|admin| (admin, for_admins)));
        let spawn = |(listener, edge)| spawn(listener, edge, "gateway", self.tls.clone(), shutdown);
        ports.into_iter().map(spawn).collect()
    }
}

fn spawn<S: HttpService>(
    listener: TcpListener,
    service: S,
    name: &'static str,
    tls: Option<Tls>,
    shutdown: &Shutdown,
) -> JoinHandle<()> {
    let options = ServeOptions::public(name, shutdown.clone());
    match tls {
        Some(tls) => spawn_with(listener, service, options.acceptor(tls)),
        None => spawn_with(listener, service, options),
    }
}

fn spawn_with<S: HttpService, A: Accept>(
    listener: TcpListener,
    service: S,
    options: ServeOptions<A>,
) -> JoinHandle<()> {
    tokio::spawn(serve::run(listener, service, options))
}
