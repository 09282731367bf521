//! Typing notices on their way between replicas: the bus for those who run, the cache for those who start.

use std::time::Duration;

use matrixon_bus::Bus;
use matrixon_cache::Cache;
use matrixon_proto::bus::v1::TypingChange;
use prost::Message;

use crate::live::Live;

pub(crate) const SUBJECT: &str = "matrixon.typing.v1";
/// A hash for the notices that end in one such span, field `room user`; it ends as a whole, so that none piles up.
const SPAN_MS: i64 = 120_000;
const TTL: Duration = Duration::from_millis(3 * SPAN_MS as u64);

fn key(ends_ms: i64) -> String {
    format!("sync:typing:v1:{}", ends_ms / SPAN_MS)
}

/// Says so to everybody. A cache or bus that is away costs others the notice, not the sender the request.
pub(crate) async fn announce(live: &Live, bus: &Bus, cache: &Cache, change: TypingChange) {
    apply(live, &change);
    let payload = change.encode_to_vec();
    bus.publish(SUBJECT, payload.clone().into());
    let field = format!("{} {}", change.room_id, change.user_id);
    let stored = if change.until_ms > change.changed_ms {
        cache.hash_set(&key(change.until_ms), &field, payload.into(), TTL).await
    } else {
        match cache.hash_delete(&key(change.changed_ms), &field).await {
            Ok(()) => cache.hash_delete(&key(change.changed_ms + SPAN_MS), &field).await,
            Err(error) => Err(error),
        }
    };
    if let Err(error) = stored {
        tracing::debug!(%error, "a typing notice was not cached");
    }
}

pub(crate) fn apply(live: &Live, change: &TypingChange) {
    let now_ms = live.clock.now_ms();
    live.change(|memory, bells| {
        if memory.typing.apply(change, now_ms) {
            memory.online.ring_room(&change.room_id, bells);
        }
    });
}

/// Who is typing, as the cache knows it.
pub(crate) async fn load(cache: &Cache, now_ms: i64) -> Vec<TypingChange> {
    let mut changes = Vec::new();
    for ends_ms in [now_ms, now_ms + SPAN_MS] {
        let fields = cache.hash_all(&key(ends_ms)).await.unwrap_or_default();
        changes.extend(fields.into_values().filter_map(|payload| TypingChange::decode(payload).ok()));
    }
    changes
}
