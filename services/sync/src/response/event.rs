//! One timeline event: the stored bytes, with `unsigned` spliced in before the last brace.

use matrixon_rooms::Membership;

use super::writer::Writer;
use crate::{json, live::event::Event, streams::Ask};

pub(super) fn write(out: &mut Writer, event: &Event, membership: Option<Membership>, ask: &Ask, now_ms: i64) {
    let Some(body) = event.json.strip_suffix(b"}") else {
        out.raw(&event.json);
        return;
    };
    out.raw(body);
    out.raw(b",\"unsigned\":{\"age\":");
    out.number(now_ms.saturating_sub(event.origin_server_ts).max(0));
    if let Some(membership) = membership {
        out.key("membership");
        out.text(membership.as_str());
    }
    if let Some(txn_id) = event.transaction_id_for(&ask.user_id, &ask.device_id) {
        out.key("transaction_id");
        out.text(txn_id);
    }
    if let Some(previous) = &event.previous {
        if let Some(content) = json::find(previous, "content") {
            out.key("prev_content");
            out.raw(content);
        }
        if let Some(sender) = json::find(previous, "sender") {
            out.key("prev_sender");
            out.raw(sender);
        }
        if let Some(event_id) = json::find(previous, "event_id") {
            out.key("replaces_state");
            out.raw(event_id);
        }
    }
    if let Some(redaction) = &event.redaction {
        out.key("redacted_because");
        out.raw(redaction);
    }
    out.raw(b"}}");
}
