//! Section `cache`.

use std::path::PathBuf;

use matrixon_runtime::config::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `local` when one process runs all roles, else `redis://HOST:PORT/DATABASE`, with TLS `rediss://HOST:PORT/DATABASE`.
    pub url: String,
    /// User name at Redis, when it has users.
    pub user: String,
    /// Password at Redis.
    pub password: Secret,
    /// A file with the certificates (PEM) of the authorities that may sign Redis's, in place of the system's.
    pub ca_certificate: Option<PathBuf>,
    /// Bytes that a `local` cache may hold.
    pub local_max_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "local".to_owned(),
            user: String::new(),
            password: Secret::default(),
            ca_certificate: None,
            local_max_bytes: 16 << 20,
        }
    }
}
