//! DNS: the addresses behind a name.

use std::net::SocketAddr;

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolverConfig},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::RData,
};

use crate::Address;

pub(crate) struct Resolver(TokioResolver);

impl Resolver {
    /// Asks the given server, or those of the system. Nothing is cached: the answer of now is what is wanted.
    pub(crate) fn new(name_server: Option<SocketAddr>) -> Result<Self, NetError> {
        let mut builder = match name_server {
            Some(server) => {
                let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                    connection.port = server.port();
                    connection
                });
                let server = NameServerConfig::new(server.ip(), true, connections.into());
                let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
            None => TokioResolver::builder_tokio()?,
        };
        builder.options_mut().cache_size = 0;
        Ok(Self(builder.build()?))
    }

    pub(crate) async fn resolve(&self, name: &Address) -> Result<Vec<Address>, NetError> {
        if name.is_srv() {
            return self.resolve_srv(name).await;
        }
        self.resolve_host(name.host(), name.port()).await
    }

    async fn resolve_srv(&self, name: &Address) -> Result<Vec<Address>, NetError> {
        let lookup = self.0.srv_lookup(name.host()).await?;
        let mut found = Vec::new();
        for record in lookup.answers() {
            if let RData::SRV(srv) = &record.data {
                let port = if name.port() == 0 { srv.port } else { name.port() };
                found.extend(self.resolve_host(&srv.target.to_utf8(), port).await?);
            }
        }
        Ok(found)
    }

    async fn resolve_host(&self, host: &str, port: u16) -> Result<Vec<Address>, NetError> {
        let lookup = self.0.lookup_ip(host).await?;
        Ok(lookup.iter().map(|ip| SocketAddr::new(ip, port).into()).collect())
    }
}
