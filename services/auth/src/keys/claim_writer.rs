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

use crate::store::{
    key_counts,
    one_time_keys::{self, ClaimedRow, Waiting},
};

/// What one request wants (JSON, see [`one_time_keys::claim`]), and its idempotency key.
pub(crate) struct Claim {
    pub wanted: String,
    pub request: String,
}

/// What it got, and the first position of its devices in stream `key_counts`.
pub(crate) struct Taken {
    pub rows: Vec<ClaimedRow>,
    first: i64,
}

/// There is no key that nobody else is taking.
pub(crate) struct Nothing;

/// Takes keys without waiting for other claimers.
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
        let (mut taken, mut devices) = (Vec::with_capacity(items.len()), Vec::new());
        for item in items {
            let rows = one_time_keys::claim(tx, &item.wanted, &item.request, now_ms, Waiting::Never).await?;
            devices.extend(rows.iter().map(|row| row.device));
            taken.push(rows);
        }
        let mut position = 0;
        if !devices.is_empty() {
            position = tx.advance(Stream::KEY_COUNTS, devices.len()).await?;
            key_counts::insert_changes(tx, position, &devices, now_ms).await?;
        }
        let verdicts = taken.into_iter().map(|rows| {
            let first = position;
            position += rows.len() as i64;
            if rows.is_empty() { Err(Nothing) } else { Ok(Taken { rows, first }) }
        });
        Ok(verdicts.collect())
    }

    fn committed(&self, _: &[Claim], verdicts: &[Result<Taken, Nothing>]) {
        let taken: Vec<&Taken> = verdicts.iter().flatten().collect();
        let items: Vec<Bytes> = taken
            .iter()
            .flat_map(|taken| (taken.first..).zip(&taken.rows))
            .map(|(position, row)| KeyCountItem { position, device: row.device }.encode_to_vec().into())
            .collect();
        let Some(first) = taken.first().map(|taken| taken.first) else { return };
        let bell =
            Bell { stream: Stream::KEY_COUNTS.name().to_owned(), first, last: first + items.len() as i64 - 1, items };
        self.bus.publish(&Stream::KEY_COUNTS.subject(), bell.encode_to_vec().into());
    }

    fn bytes(&self, item: &Claim) -> usize {
        item.wanted.len()
    }
}
