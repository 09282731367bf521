//! Section `bus`.

use std::path::PathBuf;

use matrixon_runtime::config::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `local` when one process runs all roles, else `nats://HOST:PORT`, with TLS `tls://HOST:PORT` (several servers:
    /// separated by commas).
    pub url: String,
    /// User name at NATS, when it asks for one.
    pub user: String,
    /// Password at NATS.
    pub password: Secret,
    /// A file with the certificates (PEM) of the authorities that may sign NATS's, in place of the system's. With it every
    /// connection is over TLS.
    pub ca_certificate: Option<PathBuf>,
    /// Bytes that may wait to be sent; what is published beyond that is dropped.
    pub send_buffer_bytes: usize,
    /// Bytes that may wait in one subscription; beyond that they are dropped and the subscriber reads from SQL.
    pub receive_buffer_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "local".to_owned(),
            user: String::new(),
            password: Secret::default(),
            ca_certificate: None,
            send_buffer_bytes: 16 << 20,
            receive_buffer_bytes: 16 << 20,
        }
    }
}
