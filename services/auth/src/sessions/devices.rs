//! Devices as their owner sees them.

use ruma::UserId;
use serde::Serialize;

use crate::{
    error::AuthError,
    outbox::{self, Outbox},
    state::Auth,
    store::devices::{self, DeviceRow},
};

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

/// Gives a device another name, which others see too. False: no such device.
pub(crate) async fn rename(auth: &Auth, user_id: &UserId, device_id: &str, name: &str) -> Result<bool, AuthError> {
    let (mut tx, mut outbox) = (auth.db.begin().await?, Outbox::default());
    let found = devices::update_display_name(&mut tx, user_id.as_str(), device_id, Some(name)).await?;
    if found {
        outbox.device_changed(user_id, device_id);
    }
    outbox::commit(auth, tx, outbox).await?;
    Ok(found)
}
