//! What a process says of itself. Members are only added: the command may be of another version than the process.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent facts")]
pub(crate) struct Status {
    /// The roles, joined: what logs and metrics call the process.
    pub(crate) service: String,
    pub(crate) roles: Vec<String>,
    pub(crate) version: String,
    /// In Kubernetes the name of the pod.
    pub(crate) host: String,
    pub(crate) pid: u32,
    pub(crate) uptime_seconds: u64,
    pub(crate) ready: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    pub(crate) draining: bool,
    pub(crate) in_flight: usize,
    pub(crate) resident_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) schema: Option<Schema>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pool: Option<Pool>,
    pub(crate) streams: Vec<StreamStatus>,
    pub(crate) bus_connected: bool,
    pub(crate) cache_connected: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Schema {
    /// Of the database; none when it does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) database: Option<i64>,
    pub(crate) min: i64,
    pub(crate) max: i64,
    /// That the binary brings.
    pub(crate) brings: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Pool {
    pub(crate) used: usize,
    pub(crate) idle: usize,
    pub(crate) max: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct StreamStatus {
    pub(crate) stream: String,
    pub(crate) position: i64,
    /// Positions known to be committed and not reached.
    pub(crate) lag: i64,
}

impl Status {
    pub(crate) fn lag(&self) -> i64 {
        self.streams.iter().map(|stream| stream.lag).max().unwrap_or(0)
    }
}
