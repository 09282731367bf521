//! Section `cache`.

use std::{num::NonZeroU64, path::PathBuf};

use matrixon_runtime::config::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const DEFAULT_TIMEOUT: NonZeroU64 = NonZeroU64::new(250).unwrap();

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
    /// Milliseconds that a request may wait for Redis's answer. Then the connection counts as lost, and until there is
    /// a new one nobody waits: raise it only where Redis is far away or its machine stalls.
    pub timeout_ms: NonZeroU64,
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
            timeout_ms: DEFAULT_TIMEOUT,
            local_max_bytes: 16 << 20,
        }
    }
}
