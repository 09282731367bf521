//! Items of the streams beside `events` as this replica keeps them in memory.

use std::sync::Arc;

use bytes::Bytes;
use matrixon_proto::bus::v1::{AccountDataItem, DeviceListItem, KeyCountItem, ReceiptItem, ToDeviceItem};

use super::tail::Positioned;

#[derive(Clone, Debug)]
#[expect(clippy::struct_field_names, reason = "`receipt_type` is the word of the protocol")]
pub(crate) struct Receipt {
    pub(crate) position: i64,
    pub(crate) room_id: Arc<str>,
    pub(crate) receipt_type: Box<str>,
    pub(crate) user_id: Box<str>,
    /// Empty: unthreaded.
    pub(crate) thread_id: Box<str>,
    pub(crate) event_id: Box<str>,
    pub(crate) ts_ms: i64,
}

impl Receipt {
    pub(crate) fn from_item(item: ReceiptItem) -> Self {
        Self {
            position: item.position,
            room_id: item.room_id.into(),
            receipt_type: item.receipt_type.into(),
            user_id: item.user_id.into(),
            thread_id: item.thread_id.into(),
            event_id: item.event_id.into(),
            ts_ms: item.ts_ms,
        }
    }

    /// Private receipts are for the eyes of their user alone.
    pub(crate) fn is_visible_to(&self, user_id: &str) -> bool {
        &*self.receipt_type != "m.read.private" || *self.user_id == *user_id
    }

    /// Of two receipts of one key, the later one counts.
    pub(crate) fn same_key(&self, other: &Self) -> bool {
        self.user_id == other.user_id && self.receipt_type == other.receipt_type && self.thread_id == other.thread_id
    }
}

impl Positioned for Receipt {
    fn position(&self) -> i64 {
        self.position
    }

    fn bytes(&self) -> usize {
        160 + self.event_id.len() + self.user_id.len() + self.thread_id.len() + self.receipt_type.len()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct AccountData {
    pub(crate) position: i64,
    pub(crate) user_id: Box<str>,
    /// Empty: global.
    pub(crate) room_id: Box<str>,
    pub(crate) data_type: Box<str>,
    pub(crate) content: Bytes,
}

impl AccountData {
    pub(crate) fn from_item(item: AccountDataItem) -> Self {
        Self {
            position: item.position,
            user_id: item.user_id.into(),
            room_id: item.room_id.into(),
            data_type: item.data_type.into(),
            content: item.content,
        }
    }
}

impl Positioned for AccountData {
    fn position(&self) -> i64 {
        self.position
    }

    fn bytes(&self) -> usize {
        160 + self.user_id.len() + self.room_id.len() + self.data_type.len() + self.content.len()
    }
}

/// Whose devices or cross-signing keys changed.
#[derive(Clone, Debug)]
pub(crate) struct DeviceListChange {
    pub(crate) position: i64,
    pub(crate) user_id: Arc<str>,
    /// Not empty: only this user is told.
    pub(crate) visible_to: Box<str>,
}

impl DeviceListChange {
    pub(crate) fn from_item(item: DeviceListItem) -> Self {
        Self { position: item.position, user_id: item.user_id.into(), visible_to: item.visible_to.into() }
    }

    /// May that user be told at all? Whether they share a room is another question.
    pub(crate) fn is_visible_to(&self, user_id: &str) -> bool {
        self.visible_to.is_empty() || *self.visible_to == *user_id
    }
}

impl Positioned for DeviceListChange {
    fn position(&self) -> i64 {
        self.position
    }

    fn bytes(&self) -> usize {
        96 + self.user_id.len() + self.visible_to.len()
    }
}

/// A message for a device; the message itself is in SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ToDevicePlace {
    pub(crate) position: i64,
    pub(crate) device: i64,
}

impl ToDevicePlace {
    pub(crate) fn from_item(item: ToDeviceItem) -> Self {
        Self { position: item.position, device: item.device }
    }
}

/// The one-time or unused fallback keys of a device have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyCountChange {
    pub(crate) position: i64,
    pub(crate) device: i64,
}

impl KeyCountChange {
    pub(crate) fn from_item(item: KeyCountItem) -> Self {
        Self { position: item.position, device: item.device }
    }
}
