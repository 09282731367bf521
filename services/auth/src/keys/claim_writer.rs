//! Claims of this replica as they are committed: many requests, one transaction.

use bytes::Bytes;
use matrixon_bus::Bus;
use matrixon_proto::bus::v1::{Bell, KeyCountItem};
use matrixon_runtime::clock::Clock;
use matrixon_store::{
    StoreError, Tx,
    streams::{Stream, StreamWriter, Verdicts},
};
use prost::Message as _;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::store::{
    key_counts,
    one_time_keys::{self, Claim},
};

/// The key that one device gave.
pub(crate) struct Given {
    pub device: i64,
    pub key_id: String,
    pub json: String,
}

/// What a claim got, and the first position of its devices in stream `key_counts`.
pub(crate) struct Taken {
    pub keys: Vec<Given>,
    first: i64,
}

/// None of the devices has a key left.
pub(crate) struct Nothing;

pub(crate) struct ClaimWriter {
    pub bus: Bus,
    pub clock: Clock,
}

impl StreamWriter for ClaimWriter {
    type Item = Claim;
    type Done = Taken;
    type Refusal = Nothing;

    async fn write(&self, tx: &mut Tx, items: &[Claim]) -> Result<Verdicts<Self>, StoreError> {
        let now_ms = self.clock.now_ms();
        one_time_keys::take_turn(tx).await?;
        let (mut taken, mut devices) = (Vec::with_capacity(items.len()), Vec::new());
        for item in items {
            let given = one_time_keys::claim(tx, item, now_ms).await?;
            let keys = given.as_deref().map(read_given).transpose()?.unwrap_or_default();
            devices.extend(keys.iter().map(|key| key.device));
            taken.push(keys);
        }
        let mut position = 0;
        if !devices.is_empty() {
            position = tx.advance(Stream::KEY_COUNTS, devices.len()).await?;
            key_counts::insert_changes(tx, position, &devices, now_ms).await?;
        }
        let verdicts = taken.into_iter().map(|keys| {
            let first = position;
            position += keys.len() as i64;
            if keys.is_empty() { Err(Nothing) } else { Ok(Taken { keys, first }) }
        });
        Ok(verdicts.collect())
    }

    fn committed(&self, _: &[Claim], verdicts: &[Result<Taken, Nothing>]) {
        let taken: Vec<&Taken> = verdicts.iter().flatten().collect();
        let items: Vec<Bytes> = taken
            .iter()
            .flat_map(|taken| (taken.first..).zip(&taken.keys))
            .map(|(position, key)| KeyCountItem { position, device: key.device }.encode_to_vec().into())
            .collect();
        let Some(first) = taken.first().map(|taken| taken.first) else { return };
        let bell =
            Bell { stream: Stream::KEY_COUNTS.name().to_owned(), first, last: first + items.len() as i64 - 1, items };
        self.bus.publish(&Stream::KEY_COUNTS.subject(), bell.encode_to_vec().into());
    }

    fn bytes(&self, item: &Claim) -> usize {
        item.devices.len()
    }
}

/// What the store wrote: `[[device, "key id", key], …]`.
fn read_given(json: &str) -> Result<Vec<Given>, StoreError> {
    #[derive(Deserialize)]
    struct Row<'a>(i64, String, #[serde(borrow)] &'a RawValue);

    let rows: Vec<Row<'_>> =
        serde_json::from_str(json).map_err(|error| StoreError::inconsistent("key_claims", error))?;
    Ok(rows.into_iter().map(|Row(device, key_id, key)| Given { device, key_id, json: key.get().to_owned() }).collect())
}
