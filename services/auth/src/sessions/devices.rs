//! Devices as their owner sees them.

use std::collections::BTreeMap;

use ruma::{OwnedUserId, UserId};
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

/// The answer to `whois`: what is known of a device is where it was last seen, one connection of one session.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct WhoisAnswer {
    user_id: OwnedUserId,
    devices: BTreeMap<String, WhoisDevice>,
}

#[derive(Clone, Debug, Serialize)]
struct WhoisDevice {
    sessions: [WhoisSession; 1],
}

#[derive(Clone, Debug, Serialize)]
struct WhoisSession {
    connections: [Connection; 1],
}

#[derive(Clone, Debug, Serialize)]
struct Connection {
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<String>,
    last_seen: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
}

impl WhoisAnswer {
    pub(crate) fn new(user_id: OwnedUserId, rows: Vec<DeviceRow>) -> Self {
        let devices = rows.into_iter().map(|row| {
            let connection =
                Connection { ip: row.last_seen_ip, last_seen: row.last_seen_ts, user_agent: row.last_seen_user_agent };
            (row.device_id, WhoisDevice { sessions: [WhoisSession { connections: [connection] }] })
        });
        Self { user_id, devices: devices.collect() }
    }
}
