//! Section `bus`.

use matrixon_runtime::config::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `local` when one process runs all roles, else `nats://HOST:PORT` (several servers: separated by commas).
    pub url: String,
    /// User name at NATS, when it asks for one.
    pub user: String,
    /// Password at NATS.
    pub password: Secret,
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
            send_buffer_bytes: 16 << 20,
            receive_buffer_bytes: 16 << 20,
        }
    }
}
