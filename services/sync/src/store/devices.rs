//! What /sync needs to know of a device: what waits for it, and how many keys it has left.

use bytes::Bytes;
use matrixon_accounts::one_time_keys;
use matrixon_store::{Db, StoreError, sql};

use super::to_device;
use crate::live::{device::LoadedDevice, items::KeyCountChange};

pub(crate) async fn load_device(db: &Db, device: i64) -> Result<LoadedDevice, StoreError> {
    Ok(LoadedDevice { waiting: to_device::bounds(db, device).await?, keys: load_keys(db, device).await? })
}

pub(crate) async fn load_keys(db: &Db, device: i64) -> Result<Bytes, StoreError> {
    Ok(crate::response::render_keys(&one_time_keys::load_key_counts(db, device).await?))
}

/// The stream in (after, upto], ascending. A row may stand for many devices.
pub(crate) async fn list_key_changes(db: &Db, after: i64, upto: i64) -> Result<Vec<KeyCountChange>, StoreError> {
    let rows = sql!(
        db.read(),
        fetch_all as (i64, i64, Option<String>),
        "select position, device, devices from key_count_changes where position > $1 and position <= $2 order by position",
        after,
        upto
    )?;
    let mut changes = Vec::with_capacity(rows.len());
    for (position, device, devices) in rows {
        let devices: Vec<i64> = match devices {
            None => vec![device],
            Some(list) => {
                serde_json::from_str(&list).map_err(|error| StoreError::inconsistent("key_count_changes", error))?
            }
        };
        changes.extend(devices.into_iter().map(|device| KeyCountChange { position, device }));
    }
    Ok(changes)
}
