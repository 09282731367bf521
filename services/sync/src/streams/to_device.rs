//! Messages to the requesting device. They are read from SQL when there are some: what its device has acknowledged is
//! no longer there, whichever replica was told.

use super::{Missing, News, Stream, View};
use crate::token::Token;

pub(crate) struct ToDevice;

impl Stream for ToDevice {
    fn complete(&self, view: &View<'_>, news: &mut News, missing: &mut Missing) {
        add(view, 0, news, missing);
    }

    fn incremental(&self, view: &View<'_>, since: Token, news: &mut News, missing: &mut Missing) {
        add(view, since.to_device, news, missing);
    }
}

/// The token moves over what is delivered, and no further.
fn add(view: &View<'_>, since: i64, news: &mut News, missing: &mut Missing) {
    // whose inbox is not known acknowledges nothing
    let Some(device) = view.memory.devices.find(view.ask.device) else {
        news.next.to_device = since;
        return;
    };
    if !device.has_message_after(since) {
        return;
    }
    let Some(inbox) = &view.loaded.inbox else {
        missing.inbox = Some(since);
        return;
    };
    let last = inbox.messages.last().map_or(since, |message| message.position);
    news.next.to_device = if inbox.more { last } else { inbox.head.max(last) };
    news.to_device.clone_from(&inbox.messages);
}
