//! Section `room`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Room version of new rooms when the client does not say: 10, 11 or 12.
    pub default_room_version: String,
    /// Memory for the heads of rooms that are written to, in MiB.
    pub head_cache_mib: u64,
    /// Most appends in one transaction.
    pub batch_items: usize,
    /// Most appends waiting for a transaction; more wait in their requests.
    pub queued_items: usize,
    /// Most users that one createRoom request may invite.
    pub max_invites: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            default_room_version: "12".to_owned(),
            head_cache_mib: 32,
            batch_items: 256,
            queued_items: 4096,
            max_invites: 500,
        }
    }
}
