//! The ports of a process, bound before anything else so that a wrong address is the first thing one hears about.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use matrixon_runtime::role::Role;
use tokio::net::{TcpListener, TcpSocket, lookup_host};

use crate::settings::Settings;

/// Thousands of clients may reconnect in the same second.
const BACKLOG: u32 = 4096;

pub(crate) struct Ports {
    /// Client and federation: only where the gateway runs.
    pub(crate) public: Option<(TcpListener, TcpListener)>,
    /// Administration, where it has a port of its own.
    pub(crate) admin: Option<TcpListener>,
    pub(crate) cluster: TcpListener,
    pub(crate) internal: TcpListener,
}

impl Ports {
    pub(crate) async fn bind(settings: &Settings) -> Result<Self> {
        let listen = &settings.config.listen;
        let public = if settings.has(Role::Gateway) {
            Some((bind("listen.client", &listen.client).await?, bind("listen.federation", &listen.federation).await?))
        } else {
            None
        };
        let admin = match settings.config.gateway.admin_listen.as_deref().filter(|_| public.is_some()) {
            Some(address) => Some(bind("gateway.admin_listen", address).await?),
            None => None,
        };
        let (cluster, internal) =
            (bind("listen.cluster", &listen.cluster).await?, bind("listen.internal", &listen.internal).await?);
        Ok(Self { public, admin, cluster, internal })
    }

    /// The one line that says where everything is.
    pub(crate) fn ready_line(&self, name: &str, service: &str, tls: bool) -> Result<String> {
        let scheme = if tls { "https" } else { "http" };
        let mut urls = Vec::new();
        if let Some((client, federation)) = &self.public {
            urls.push(format!("client {scheme}://{}", client.local_addr()?));
            urls.push(format!("federation {scheme}://{}", federation.local_addr()?));
        }
        if let Some(admin) = &self.admin {
            urls.push(format!("admin {scheme}://{}", admin.local_addr()?));
        }
        urls.push(format!("cluster http://{}", self.cluster.local_addr()?));
        urls.push(format!("internal http://{}", self.internal.local_addr()?));
        Ok(format!("matrixon {service} of {name} is ready: {}", urls.join(" · ")))
    }
}

/// `name` is the key of the configuration.
async fn bind(name: &str, address: &str) -> Result<TcpListener> {
    let unusable = || format!("`{name}` is `{address}`, which is not an address like 127.0.0.1:8008");
    let resolved = lookup_host(address).await.with_context(unusable)?.next().with_context(unusable)?;
    listen(resolved).with_context(|| format!("cannot listen on {address}; free it, or set `{name}` to another address"))
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart must not wait for the old connections' TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
