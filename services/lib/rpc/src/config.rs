//! The `discovery` section: where the replicas of each role are. A role that runs in this process needs no entry.

use std::{fmt, net::SocketAddr, str::FromStr};

use matrixon_runtime::role::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Static lists, DNS names and Kubernetes Services may be combined; a replica is known by its `host:port`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Replicas of the gateway role, as `http://host:port` of their cluster listeners.
    pub gateway: Vec<Address>,
    /// Replicas of the auth role.
    pub auth: Vec<Address>,
    /// Replicas of the room role.
    pub room: Vec<Address>,
    /// Replicas of the sync role.
    pub sync: Vec<Address>,
    /// Replicas of the media role.
    pub media: Vec<Address>,
    /// Replicas of the federation role.
    pub federation: Vec<Address>,
    /// DNS names whose addresses are the replicas, such as a headless Kubernetes service.
    pub dns: Dns,
    /// Kubernetes Services whose endpoints are watched.
    pub kubernetes: Kubernetes,
    /// The DNS server to ask (`ip:port`) in place of the system's.
    pub name_server: Option<SocketAddr>,
}

/// `name:port` asks for A and AAAA records; a name that begins with `_` asks for SRV records, which carry the port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Dns {
    /// Name of the gateway replicas.
    pub gateway: Option<Address>,
    /// Name of the auth replicas.
    pub auth: Option<Address>,
    /// Name of the room replicas.
    pub room: Option<Address>,
    /// Name of the sync replicas.
    pub sync: Option<Address>,
    /// Name of the media replicas.
    pub media: Option<Address>,
    /// Name of the federation replicas.
    pub federation: Option<Address>,
}

/// Needs `list` and `watch` on `endpointslices` of `discovery.k8s.io`. The API server is found as `kubectl` finds it: by the pod's
/// service account, or by `$KUBECONFIG`. A role's DNS name is asked while the API server has not answered yet or is away.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Kubernetes {
    /// The namespace of the Services; by default the pod's own.
    pub namespace: Option<String>,
    /// The name of the Services' port that leads to `listen.cluster`.
    pub port: String,
    /// The Service of the gateway replicas.
    pub gateway: Option<String>,
    /// The Service of the auth replicas.
    pub auth: Option<String>,
    /// The Service of the room replicas.
    pub room: Option<String>,
    /// The Service of the sync replicas.
    pub sync: Option<String>,
    /// The Service of the media replicas.
    pub media: Option<String>,
    /// The Service of the federation replicas.
    pub federation: Option<String>,
}

impl Default for Kubernetes {
    fn default() -> Self {
        Self {
            namespace: None,
            port: "cluster".to_owned(),
            gateway: None,
            auth: None,
            room: None,
            sync: None,
            media: None,
            federation: None,
        }
    }
}

impl Config {
    /// The replicas listed by hand for a role.
    pub fn listed(&self, role: Role) -> &[Address] {
        match role {
            Role::Gateway => &self.gateway,
            Role::Auth => &self.auth,
            Role::Room => &self.room,
            Role::Sync => &self.sync,
            Role::Media => &self.media,
            Role::Federation => &self.federation,
        }
    }

    /// Does any source name replicas of the role?
    pub fn is_configured(&self, role: Role) -> bool {
        !self.listed(role).is_empty() || self.dns_name(role).is_some() || self.service(role).is_some()
    }

    /// The Kubernetes Service of a role's replicas.
    pub fn service(&self, role: Role) -> Option<&String> {
        let services = &self.kubernetes;
        match role {
            Role::Gateway => services.gateway.as_ref(),
            Role::Auth => services.auth.as_ref(),
            Role::Room => services.room.as_ref(),
            Role::Sync => services.sync.as_ref(),
            Role::Media => services.media.as_ref(),
            Role::Federation => services.federation.as_ref(),
        }
    }

    /// The DNS name of a role's replicas.
    pub fn dns_name(&self, role: Role) -> Option<&Address> {
        match role {
            Role::Gateway => self.dns.gateway.as_ref(),
            Role::Auth => self.dns.auth.as_ref(),
            Role::Room => self.dns.room.as_ref(),
            Role::Sync => self.dns.sync.as_ref(),
            Role::Media => self.dns.media.as_ref(),
            Role::Federation => self.dns.federation.as_ref(),
        }
    }
}

/// `host:port`, written with or without `http://`. Port 0 stands for the port of an SRV record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Address {
    host: String,
    port: u16,
}

impl Address {
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// A name of RFC 2782 form, `_service._proto.name`.
    pub(crate) fn is_srv(&self) -> bool {
        self.host.starts_with('_')
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().to_string(), port: address.port() }
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a replica address; write it as http://host:port")]
pub struct BadAddress(String);

impl TryFrom<String> for Address {
    type Error = BadAddress;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadAddress(text.to_owned());
        let rest = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| bad())?),
            None if rest.starts_with('_') => (rest, 0),
            None => return Err(bad()),
        };
        let unwrapped = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let valid = match unwrapped {
            Some(ip) => ip.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)),
        };
        if !valid || (port == 0 && !host.starts_with('_')) {
            return Err(bad());
        }
        Ok(Self { host: unwrapped.unwrap_or(host).to_owned(), port })
    }
}
