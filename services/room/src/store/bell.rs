//! The bell of stream `events`, rung after COMMIT. It may get lost: readers then read SQL.

use bytes::Bytes;
use matrixon_bus::Bus;
use matrixon_proto::bus::v1::{Bell, EventItem};
use matrixon_store::streams::Stream;
use prost::Message as _;

use super::append::{Append, Committed, EventWrite, Placed, Refusal};
use crate::metrics;

/// More than this together, and the items stay at home.
const MAX_INLINE_BYTES: usize = 256 * 1024;

pub(crate) fn ring(bus: &Bus, items: &[Append], verdicts: &[Result<Committed, Refusal>]) {
    let mut bell = Bell { stream: Stream::EVENTS.name().to_owned(), first: i64::MAX, last: 0, items: Vec::new() };
    let (mut bytes, mut count) = (0, 0);
    for (item, verdict) in items.iter().zip(verdicts) {
        let Ok(committed) = verdict else { continue };
        for (event, placed) in item.events.iter().zip(&committed.events) {
            bell.first = bell.first.min(placed.position);
            bell.last = bell.last.max(placed.position);
            count += 1;
            if bytes <= MAX_INLINE_BYTES {
                let encoded = encode(item, committed.room, event, placed);
                bytes += encoded.len();
                bell.items.push(encoded);
            }
        }
    }
    if count == 0 {
        return;
    }
    metrics::EVENTS_ACCEPTED.with_label_values(&["local"]).inc_by(count);
    if bytes > MAX_INLINE_BYTES {
        bell.items.clear();
    }
    bus.publish(&Stream::EVENTS.subject(), bell.encode_to_vec().into());
}

fn encode(item: &Append, room: i64, event: &EventWrite, placed: &Placed) -> Bytes {
    let (_, device_id, txn_id) = item.txn().unwrap_or_default();
    EventItem {
        position: placed.position,
        room_id: item.room_id.as_str().to_owned(),
        event_id: event.event_id.clone(),
        event_type: event.event_type.clone(),
        state_key: event.state_key.clone(),
        sender: event.sender.clone(),
        json: Bytes::copy_from_slice(event.json.as_bytes()),
        membership: event.membership.clone().unwrap_or_default(),
        redacts: event.redaction.as_ref().map(|redaction| redaction.event_id.clone()).unwrap_or_default(),
        device_id: device_id.to_owned(),
        txn_id: txn_id.to_owned(),
        state_snapshot: placed.state_after,
        prev_json: placed.replaced.as_ref().map(|old| Bytes::copy_from_slice(old.json.as_bytes())),
        room,
        state_before: placed.state_before,
    }
    .encode_to_vec()
    .into()
}
