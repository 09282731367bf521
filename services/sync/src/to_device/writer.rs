//! Messages to devices as they are committed, and their deletions: many requests, one transaction.

use std::collections::BTreeMap;

use matrixon_store::{
    StoreError, Tx,
    streams::{Stream, StreamWriter},
};
use prost::Message as _;
use tokio::sync::mpsc;

use crate::{
    append::Bellman,
    error::{Never, TooMany},
    metrics::METRICS,
    store::to_device::{self as store, NewMessage, Target},
};

/// Messages of one request, wildcards counted as the devices they stand for.
pub(super) const MAX_MESSAGES: usize = 10_000;
/// One message in so many has the size of its inbox checked.
const CHECK_EVERY: u32 = 100;

/// The messages of one request.
#[derive(Debug)]
pub(crate) struct Sending {
    /// Of sender, device, type and transaction id.
    pub(super) key: String,
    pub(super) sender: String,
    pub(super) event_type: String,
    pub(super) messages: Vec<(String, String, Box<str>)>,
    pub(super) now_ms: i64,
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
