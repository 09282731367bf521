//! Section `database`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `postgres://USER:PASSWORD@HOST:PORT/NAME`, or `sqlite:PATH` for the embedded database of a single process.
    /// Empty: SQLite in the server's data directory.
    pub url: String,
    /// A file that holds `url`, for secrets mounted as files.
    pub url_file: Option<PathBuf>,
    /// Most connections of one process to the database.
    pub max_connections: u32,
    /// How long a request waits for a free connection before it is refused with 503, in milliseconds.
    pub acquire_timeout_ms: u64,
    /// Apply pending migrations when a process starts (always done for SQLite).
    pub migrate_on_start: bool,
    /// How long a starting process waits for the database and for its schema before it gives up, in seconds. 0: not at all.
    pub startup_wait_seconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: String::new(),
            url_file: None,
            max_connections: 16,
            acquire_timeout_ms: 3_000,
            migrate_on_start: false,
            startup_wait_seconds: 0,
        }
    }
}
