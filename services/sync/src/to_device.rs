//! Messages from device to device: <https://spec.matrix.org/v1.19/client-server-api/#send-to-device-messaging>
//!
//! ```text
//! PUT /sendToDevice ── appender ── transaction: dedupe, find devices, positions, rows; COMMIT ── 200
//!                                   └ bell {position, device} ── the device's request wakes, reads its rows, answers
//! GET /sync since=… ── rows up to the token's position are deleted, then the oldest that are left are delivered
//! ```
//! A row is deleted only when its device comes back with a token that was given out with it, and before anything else is
//! answered: a message is delivered until it is acknowledged and never after. It goes with its device, in one transaction.

use std::{collections::BTreeMap, fmt::Write as _};

use matrixon_store::{
    StoreError, Tx,
    streams::{Stream, StreamWriter},
};
use prost::Message as _;
use ruma::{OwnedUserId, serde::Raw, to_device::DeviceIdOrAllDevices};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use crate::{
    append::{Bellman, Never},
    error::SyncError,
    metrics::METRICS,
    state::Shared,
    store::to_device::{self as store, NewMessage, Target},
};

/// As for events in rooms.
const MAX_CONTENT_BYTES: usize = 65_536;
/// Messages of one request, wildcards counted as the devices they stand for.
const MAX_MESSAGES: usize = 10_000;
/// As for all ids: longer ones name nothing.
const MAX_ID_BYTES: usize = 255;
/// One message in so many has the size of its inbox checked.
const CHECK_EVERY: u32 = 100;

/// The messages of one request.
#[derive(Debug)]
pub(crate) struct Sending {
    /// Of sender, device, type and transaction id.
    key: String,
    sender: String,
    event_type: String,
    messages: Vec<(String, String, Box<str>)>,
    now_ms: i64,
}

/// Why a request is not accepted as a whole.
#[derive(Debug)]
pub(crate) struct TooMany;

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

pub(crate) struct ToDeviceWriter {
    pub(crate) bellman: Bellman,
    /// Inboxes to be checked by the janitor.
    pub(crate) checks: mpsc::Sender<i64>,
}

/// (position, device) of a message.
type Place = (i64, i64);

impl StreamWriter for ToDeviceWriter {
    type Item = Sending;
    type Done = Vec<Place>;
    type Refusal = TooMany;

    async fn write(&self, tx: &mut Tx, items: &[Sending]) -> Result<Vec<Result<Vec<Place>, TooMany>>, StoreError> {
        let now_ms = items.first().map_or(0, |item| item.now_ms);
        let keys: Vec<&str> = items.iter().map(|item| item.key.as_str()).collect();
        let mut new = store::begin_transactions(tx, &keys, now_ms).await?;
        // of two with one key in this batch, the first counts
        let fresh: Vec<bool> = items.iter().map(|item| new.remove(&item.key)).collect();
        let mut sources = Vec::new();
        for (index, _) in fresh.iter().enumerate().filter(|(_, fresh)| **fresh) {
            sources.extend(items[index].messages.iter().map(|message| (index, message)));
        }
        let targets = sources.iter().zip(0..).map(|((_, (user_id, device_id, _)), n)| Target { n, user_id, device_id });
        let targets: Vec<Target<'_>> = targets.collect();
        let mut found = if targets.is_empty() { Vec::new() } else { store::find_targets(tx, &targets).await? };
        found.sort_unstable();
        let mut verdicts: Vec<Result<Vec<Place>, TooMany>> = items.iter().map(|_| Ok(Vec::new())).collect();
        for group in found.chunk_by(|a, b| sources[a.0 as usize].0 == sources[b.0 as usize].0) {
            if group.len() > MAX_MESSAGES {
                verdicts[sources[group[0].0 as usize].0] = Err(TooMany);
            }
        }
        found.retain(|(n, _)| verdicts[sources[*n as usize].0].is_ok());
        if found.is_empty() {
            return Ok(verdicts);
        }
        let first = store::advance(tx, found.len()).await?;
        let mut rows = Vec::with_capacity(found.len());
        for ((n, device), position) in found.into_iter().zip(first..) {
            let (index, (_, _, content)) = sources[n as usize];
            let (sender, event_type) = (items[index].sender.as_str(), items[index].event_type.as_str());
            rows.push(NewMessage { device, position, sender, event_type, content });
            if let Ok(places) = &mut verdicts[index] {
                places.push((position, device));
            }
        }
        store::insert(tx, &rows).await?;
        Ok(verdicts)
    }

    fn committed(&self, _items: &[Sending], verdicts: &[Result<Vec<Place>, TooMany>]) {
        let mut places = verdicts.iter().flatten().flatten().copied().peekable();
        let Some((first, _)) = places.peek().copied() else { return };
        let mut encoded = Vec::new();
        for (position, device) in places {
            encoded.push(matrixon_proto::bus::v1::ToDeviceItem { position, device }.encode_to_vec().into());
            if rand::random_range(0..CHECK_EVERY) == 0 {
                // a full queue leaves the check to a later message
                let _queued = self.checks.try_send(device);
            }
        }
        METRICS.to_device_sent.inc_by(encoded.len() as u64);
        self.bellman.ring(Stream::TO_DEVICE, first, encoded);
    }

    fn bytes(&self, item: &Sending) -> usize {
        200 + item.messages.iter().map(|message| message.2.len() + 200).sum::<usize>()
    }
}

/// Deletions of what devices acknowledged, many in one transaction.
pub(crate) struct Acknowledger;

impl StreamWriter for Acknowledger {
    /// Device, and up to which position.
    type Item = (i64, i64);
    type Done = ();
    type Refusal = Never;

    async fn write(&self, tx: &mut Tx, items: &[(i64, i64)]) -> Result<Vec<Result<(), Never>>, StoreError> {
        let mut upto: BTreeMap<i64, i64> = BTreeMap::new();
        for (device, position) in items {
            let known = upto.entry(*device).or_default();
            *known = (*position).max(*known);
        }
        let upto: Vec<(i64, i64)> = upto.into_iter().collect();
        store::delete_acknowledged(tx, &upto).await?;
        Ok(items.iter().map(|_| Ok(())).collect())
    }

    fn committed(&self, _items: &[(i64, i64)], _verdicts: &[Result<(), Never>]) {}

    fn bytes(&self, _item: &(i64, i64)) -> usize {
        16
    }
}
