//! Claims of this replica as they are committed: many requests, one transaction.

use std::sync::Arc;

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
use crate::store::claims::{self, Claim, Taken};

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
        let taken = claims::claim_all(tx, &mut *self.known.lock().await, items, now_ms).await?;
        Ok(taken.into_iter().map(|taken| if taken.keys.is_empty() { Err(Nothing) } else { Ok(taken) }).collect())
    }

    fn committed(&self, _: &[Claim], verdicts: &[Result<Taken, Nothing>]) {
        self.known.commit();
        let new: Vec<(i64, &Taken)> =
            verdicts.iter().flatten().filter_map(|taken| Some((taken.first?, taken))).collect();
        let items: Vec<Bytes> = new
            .iter()
            .flat_map(|(first, taken)| (*first..).zip(&taken.keys))
            .map(|(position, key)| KeyCountItem { position, device: key.device }.encode_to_vec().into())
            .collect();
        let Some((first, _)) = new.first() else { return };
        let (first, last) = (*first, first + items.len() as i64 - 1);
        let bell = Bell { stream: Stream::KEY_COUNTS.name().to_owned(), first, last, items };
        self.bus.publish(&Stream::KEY_COUNTS.subject(), bell.encode_to_vec().into());
    }

    fn bytes(&self, item: &Claim) -> usize {
        8 * item.devices.len()
    }
}
