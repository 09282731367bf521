//! State as people see it who are not in the room: `content`, `sender`, `state_key`, `type`.

use bytes::Bytes;

use super::writer::Writer;
use crate::{json, live::event::Event};

pub(crate) fn strip(event: &Event) -> Bytes {
    let mut out = Writer::with_capacity(event.json.len());
    out.open();
    out.key("type");
    out.text(&event.event_type);
    out.key("state_key");
    out.text(event.state_key.as_deref().unwrap_or_default());
    out.key("sender");
    out.text(&event.sender);
    out.key("content");
    out.raw(json::find(&event.json, "content").unwrap_or(b"{}"));
    out.close();
    out.finish()
}
