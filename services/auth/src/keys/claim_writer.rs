//! Claims of this replica as they are committed: many requests, one transaction.

use std::{mem, sync::Arc};

use bytes::Bytes;
use matrixon_bus::Bus;
use matrixon_proto::bus::v1::{Bell, KeyCountItem};
use matrixon_runtime::clock::Clock;
use matrixon_store::{
    StoreError, Tx,
    streams::{Stream, StreamWriter, Verdicts},
};
use prost::Message as _;

use super::known_queues::KnownQueues;
use crate::store::{
    claims::{self, Claim, Given},
    key_counts,
};

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
    pub known: Arc<KnownQueues>,
}

impl StreamWriter for ClaimWriter {
    type Item = Claim;
    type Done = Taken;
    type Refusal = Nothing;

    async fn prepare(&self, tx: &mut Tx) -> Result<(), StoreError> {
        claims::take_turn(tx).await
    }

    async fn write(&self, tx: &mut Tx, items: &[Claim]) -> Result<Verdicts<Self>, StoreError> {
        let now_ms = self.clock.now_ms();
        // forgotten if this fails
        let mut queues = mem::take(&mut *self.known.lock());
        let taken = claims::claim_all(tx, &mut queues, items, now_ms).await?;
        let devices: Vec<i64> = taken.iter().flatten().map(|key| key.device).collect();
        let mut position = 0;
        if !devices.is_empty() {
            position = key_counts::append(tx, &devices, now_ms).await?;
        }
        *self.known.lock() = queues;
        let verdicts = taken.into_iter().map(|keys| {
            let first = position;
            position += keys.len() as i64;
            if keys.is_empty() { Err(Nothing) } else { Ok(Taken { keys, first }) }
        });
        Ok(verdicts.collect())
    }

    fn committed(&self, _: &[Claim], verdicts: &[Result<Taken, Nothing>]) {
        self.known.commit();
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
        8 * item.devices.len()
    }
}
