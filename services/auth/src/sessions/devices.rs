//! Devices as their owner sees them.

use serde::Serialize;

use crate::store::devices::DeviceRow;

/// A device in answers; what is unknown is left out, never `null`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DeviceAnswer {
    device_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_seen_ip: Option<String>,
    last_seen_ts: i64,
}

impl From<DeviceRow> for DeviceAnswer {
    fn from(row: DeviceRow) -> Self {
        Self {
            device_id: row.device_id,
            display_name: row.display_name,
            last_seen_ip: row.last_seen_ip,
            last_seen_ts: row.last_seen_ts,
        }
    }
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct DevicesAnswer {
    devices: Vec<DeviceAnswer>,
}

impl DevicesAnswer {
    pub(crate) fn new(rows: Vec<DeviceRow>) -> Self {
        Self { devices: rows.into_iter().map(DeviceAnswer::from).collect() }
    }
}
