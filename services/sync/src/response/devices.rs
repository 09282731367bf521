//! What a response tells a device alone: its messages, whose devices changed, and the keys it has left.
//! <https://spec.matrix.org/v1.19/client-server-api/#e2e-extensions-to-sync>

use bytes::Bytes;
use matrixon_accounts::one_time_keys::{KeyCounts, SIGNED_CURVE25519};

use super::{Body, writer::Writer};
use crate::{store::to_device::Message, streams::DeviceLists};

/// The members that every response carries: counts of zero too, for a client takes what is absent for unchanged.
pub(crate) fn render_keys(counts: &KeyCounts) -> Bytes {
    let mut out = Writer::with_capacity(120);
    out.key("device_one_time_keys_count");
    out.open();
    for (algorithm, count) in &counts.one_time_keys {
        out.key(algorithm);
        out.number(*count);
    }
    out.close();
    out.key("device_unused_fallback_key_types");
    out.raw(b"[");
    for algorithm in &counts.unused_fallback_keys {
        out.comma();
        out.text(algorithm);
    }
    out.raw(b"]");
    out.finish()
}

/// The body of `/keys/changes`.
pub(crate) fn render_changes(lists: &DeviceLists) -> Bytes {
    let mut out = Writer::with_capacity(100 + (lists.changed.len() + lists.left.len()) * 40);
    write_lists(&mut out, lists);
    out.finish()
}

fn write_lists(out: &mut Writer, lists: &DeviceLists) {
    out.open();
    for (name, users) in [("changed", &lists.changed), ("left", &lists.left)] {
        out.key(name);
        out.raw(b"[");
        for user_id in users {
            out.comma();
            out.text(user_id);
        }
        out.raw(b"]");
    }
    out.close();
}

/// The same for who has no device.
pub(crate) fn no_keys() -> Bytes {
    let one_time_keys = [(SIGNED_CURVE25519.to_owned(), 0)].into();
    render_keys(&KeyCounts { one_time_keys, unused_fallback_keys: Vec::new() })
}

impl Body<'_> {
    pub(super) fn to_device(&mut self, messages: &[Message]) {
        if messages.is_empty() {
            return;
        }
        self.out.key("to_device");
        self.out.raw(b"{\"events\":[");
        for message in messages {
            self.out.comma();
            self.out.raw(b"{\"type\":");
            self.out.text(&message.event_type);
            self.out.raw(b",\"sender\":");
            self.out.text(&message.sender);
            self.out.raw(b",\"content\":");
            self.out.raw(message.content.as_bytes());
            self.out.raw(b"}");
        }
        self.out.raw(b"]}");
    }

    pub(super) fn device_lists(&mut self, lists: &DeviceLists) {
        if lists.is_empty() {
            return;
        }
        self.out.key("device_lists");
        write_lists(&mut self.out, lists);
    }
}
