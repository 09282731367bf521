//! Streams that this service writes: group commit into the table, then the bell.

use std::sync::Arc;

use bytes::Bytes;
use matrixon_bus::Bus;
use matrixon_proto::bus::v1::{AccountDataItem, Bell, ReceiptItem};
use matrixon_store::{
    StoreError, Tx,
    streams::{Stream, StreamWriter},
};
use prost::Message;

use crate::{
    error::Never,
    live::Live,
    store::{self, account_data::NewAccountData, receipts::NewReceipt},
    token::Token,
};

/// Items larger than this together are left for the readers to load.
const MAX_BELL_BYTES: usize = 256 * 1024;

pub(crate) struct Bellman {
    pub(crate) bus: Bus,
    pub(crate) live: Arc<Live>,
}

impl Bellman {
    pub(crate) fn ring(&self, stream: Stream, first: i64, items: Vec<Bytes>) {
        let last = first + items.len() as i64 - 1;
        let small = items.iter().map(Bytes::len).sum::<usize>() <= MAX_BELL_BYTES;
        let items = if small { items } else { Vec::new() };
        let bell = Bell { stream: stream.name().to_owned(), first, last, items };
        self.bus.publish(&stream.subject(), bell.encode_to_vec().into());
        if !self.bus.is_connected() {
            // at least the clients of this replica need not wait for the heartbeat
            let mut reached = Token::default();
            match stream {
                Stream::RECEIPTS => reached.receipts = last,
                Stream::TO_DEVICE => reached.to_device = last,
                _ => reached.account_data = last,
            }
            self.live.want(reached);
        }
    }
}

pub(crate) struct AccountDataWriter(pub(crate) Bellman);

impl StreamWriter for AccountDataWriter {
    type Item = NewAccountData;
    /// Position and content, as it is now.
    type Done = (i64, Bytes);
    type Refusal = Never;

    async fn write(
        &self,
        tx: &mut Tx,
        items: &[NewAccountData],
    ) -> Result<Vec<Result<(i64, Bytes), Never>>, StoreError> {
        Ok(store::account_data::append(tx, items).await?.into_iter().map(Ok).collect())
    }

    fn committed(&self, items: &[NewAccountData], verdicts: &[Result<(i64, Bytes), Never>]) {
        let Some(Ok((first, _))) = verdicts.first() else { return };
        let encode = |(item, verdict): (&NewAccountData, &Result<(i64, Bytes), Never>)| {
            let (position, content) = match verdict {
                Ok(done) => done,
                Err(never) => match *never {},
            };
            let item = AccountDataItem {
                position: *position,
                user_id: item.user_id.to_string(),
                room_id: item.room_id.to_string(),
                data_type: item.data_type.to_string(),
                content: content.clone(),
            };
            item.encode_to_vec().into()
        };
        self.0.ring(Stream::ACCOUNT_DATA, *first, items.iter().zip(verdicts).map(encode).collect());
    }

    fn bytes(&self, item: &NewAccountData) -> usize {
        160 + item.user_id.len() + item.room_id.len() + item.data_type.len() + item.change.bytes()
    }
}

pub(crate) struct ReceiptWriter(pub(crate) Bellman);

impl StreamWriter for ReceiptWriter {
    type Item = NewReceipt;
    /// None: a later event was already read.
    type Done = Option<i64>;
    type Refusal = Never;

    async fn write(&self, tx: &mut Tx, items: &[NewReceipt]) -> Result<Vec<Result<Option<i64>, Never>>, StoreError> {
        Ok(store::receipts::append(tx, items).await?.into_iter().map(Ok).collect())
    }

    fn committed(&self, items: &[NewReceipt], verdicts: &[Result<Option<i64>, Never>]) {
        let moved = items.iter().zip(verdicts).filter_map(|(item, verdict)| match verdict {
            Ok(Some(position)) => Some((*position, item)),
            _ => None,
        });
        let mut first = None;
        let mut encoded = Vec::new();
        for (position, item) in moved {
            first.get_or_insert(position);
            let item = ReceiptItem {
                position,
                room_id: item.room_id.to_string(),
                receipt_type: item.receipt_type.clone(),
                user_id: item.user_id.clone(),
                event_id: item.event_id.clone(),
                thread_id: item.thread_id.clone(),
                ts_ms: item.ts_ms,
            };
            encoded.push(item.encode_to_vec().into());
        }
        if let Some(first) = first {
            self.0.ring(Stream::RECEIPTS, first, encoded);
        }
    }

    fn bytes(&self, _item: &NewReceipt) -> usize {
        512
    }
}
