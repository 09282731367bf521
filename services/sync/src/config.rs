//! Section `sync`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The longest time that a /sync waits for news, whatever the client asks for, milliseconds.
    pub max_timeout_ms: u64,
    /// Bytes of newest events kept in memory (receipts and account data get a quarter of it each). A client whose token is
    /// older is served from the database.
    pub tail_bytes: usize,
    /// Bytes of room states and timelines kept in memory for initial syncs and lazy loading.
    pub room_cache_bytes: usize,
    /// How often to ask the database for news that the bus may have lost, milliseconds.
    pub heartbeat_ms: u64,
    /// The same while the bus is away.
    pub heartbeat_without_bus_ms: u64,
    /// A user without requests for this long is no longer kept in memory, seconds.
    pub idle_user_seconds: u64,
    /// The longest time that a typing notice lasts, milliseconds.
    pub max_typing_ms: u64,
    /// Messages that wait for one device. When there are more, the oldest are dropped.
    pub to_device_inbox_limit: usize,
    /// Who finds whom.
    pub user_directory: UserDirectoryConfig,
}

/// Section `sync.user_directory`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UserDirectoryConfig {
    /// Without it nobody finds anybody.
    pub enabled: bool,
    /// Everybody finds every account of this server, not only people of shared and of public rooms.
    pub search_all_users: bool,
}

impl Default for UserDirectoryConfig {
    fn default() -> Self {
        Self { enabled: true, search_all_users: false }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_timeout_ms: 60_000,
            tail_bytes: 32 << 20,
            room_cache_bytes: 96 << 20,
            heartbeat_ms: 500,
            heartbeat_without_bus_ms: 150,
            idle_user_seconds: 120,
            max_typing_ms: 120_000,
            to_device_inbox_limit: 20_000,
            user_directory: UserDirectoryConfig::default(),
        }
    }
}
