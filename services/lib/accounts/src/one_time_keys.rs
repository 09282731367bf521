//! How many one-time keys a device has left, and which of its fallback keys are unused: `/sync` tells both in every
//! answer. Which devices' counts changed is stream `key_counts`.

use std::collections::BTreeMap;

use matrixon_store::{Db, StoreError, sql};

/// The algorithm of which clients must be told the count even when it is zero: that is when they upload.
pub const SIGNED_CURVE25519: &str = "signed_curve25519";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyCounts {
    /// By algorithm; `signed_curve25519` is always among them.
    pub one_time_keys: BTreeMap<String, i64>,
    /// Algorithms, in their order.
    pub unused_fallback_keys: Vec<String>,
}

/// The counts of a device, by its interned number. An unknown device has none. One statement.
pub async fn load_key_counts(db: &Db, device: i64) -> Result<KeyCounts, StoreError> {
    let rows = sql!(
        db.read(),
        fetch_all as (String, i64),
        pg: "select algorithm, ends - next
             from (select algorithm, key_queue_next(id, next) as next, ends from key_queues where device = $1 offset 0) q
             where next < ends
             union all
             select algorithm, -1 from fallback_keys where device = $1 and not used
             order by 1",
        lite: "select algorithm, ends - next from key_queues where device = $1 and next < ends
               union all
               select algorithm, -1 from fallback_keys where device = $1 and not used
               order by 1",
        device
    )?;
    let mut counts = KeyCounts {
        one_time_keys: BTreeMap::from([(SIGNED_CURVE25519.to_owned(), 0)]),
        unused_fallback_keys: Vec::new(),
    };
    for (algorithm, count) in rows {
        if count < 0 {
            counts.unused_fallback_keys.push(algorithm);
        } else {
            counts.one_time_keys.insert(algorithm, count);
        }
    }
    Ok(counts)
}
