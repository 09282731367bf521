//! Messages from device to device: <https://spec.matrix.org/v1.19/client-server-api/#send-to-device-messaging>
//!
//! ```text
//! PUT /sendToDevice ── appender ── transaction: dedupe, find devices, positions, rows; COMMIT ── 200
//!                                   └ bell {position, device} ── the device's request wakes, reads its rows, answers
//! GET /sync since=… ── rows up to the token's position are deleted, then the oldest that are left are delivered
//! ```
//! A row is deleted only when its device comes back with a token that was given out with it, and before anything else is
//! answered: a message is delivered until it is acknowledged and never after. It goes with its device, in one transaction.

pub(crate) mod writer;

use std::{collections::BTreeMap, fmt::Write as _};

use ruma::{OwnedUserId, serde::Raw, to_device::DeviceIdOrAllDevices};
use sha2::{Digest as _, Sha256};

use self::writer::{MAX_MESSAGES, Sending};
use crate::{
    error::{SyncError, TooMany},
    state::Shared,
};

/// As for events in rooms.
const MAX_CONTENT_BYTES: usize = 65_536;
/// As for all ids: longer ones name nothing.
const MAX_ID_BYTES: usize = 255;

/// Whose request it is, to know its repetition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transaction<'a> {
    pub(crate) user_id: &'a str,
    /// Interned number.
    pub(crate) device: i64,
    pub(crate) event_type: &'a str,
    pub(crate) txn_id: &'a str,
}

impl Transaction<'_> {
    fn key(&self) -> String {
        let mut hash = Sha256::new().chain_update(self.device.to_be_bytes());
        for part in [self.user_id, self.event_type, self.txn_id] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

pub(crate) type Messages<T> = BTreeMap<OwnedUserId, BTreeMap<DeviceIdOrAllDevices, Raw<T>>>;

/// Returns when the messages are committed. Users and devices that are not known here are passed over.
pub(crate) async fn send<T>(
    shared: &Shared,
    transaction: Transaction<'_>,
    messages: &Messages<T>,
) -> Result<(), SyncError> {
    if transaction.event_type.is_empty() || transaction.event_type.len() > MAX_ID_BYTES {
        return Err(SyncError::InvalidParam("the type of a message has 1 to 255 bytes"));
    }
    let mut sending = Sending {
        key: transaction.key(),
        sender: transaction.user_id.to_owned(),
        event_type: transaction.event_type.to_owned(),
        messages: Vec::new(),
        now_ms: shared.clock.now_ms(),
    };
    let nameable = |id: &str| id.len() <= MAX_ID_BYTES && !id.contains('\0');
    for (user_id, devices) in messages {
        for (device_id, content) in devices {
            let content = content.json().get();
            if !content.starts_with('{') {
                return Err(SyncError::BadJson("the content of a message is a JSON object".to_owned()));
            }
            if content.len() > MAX_CONTENT_BYTES {
                return Err(SyncError::TooLarge("a message has more than 65,536 bytes"));
            }
            let device_id = device_id.to_string();
            if nameable(user_id.as_str()) && nameable(&device_id) {
                sending.messages.push((user_id.to_string(), device_id, content.into()));
            }
        }
    }
    if sending.messages.len() > MAX_MESSAGES {
        return Err(TooMany.into());
    }
    shared.to_device.append(sending).await.map_err(SyncError::of_to_device)?;
    Ok(())
}

/// The device has come back with a token: what it was given with that token is deleted.
pub(crate) async fn acknowledge(shared: &Shared, device: i64, upto: i64) -> Result<(), SyncError> {
    let owes = |memory: &crate::live::memory::Memory| {
        memory.devices.find(device).is_some_and(|device| device.has_message_upto(upto))
    };
    if shared.live.read(owes) {
        shared.acknowledgements.append((device, upto)).await?;
        shared.live.change(|memory, _| memory.devices.acknowledged(device, upto));
    }
    Ok(())
}
