//! The JSON of a response, written by hand into one buffer: events go in as the bytes that were stored.

mod devices;
mod event;
pub(crate) mod lazy;
mod push_rules;
pub(crate) mod stripped;
mod writer;

use std::sync::Arc;

use bytes::Bytes;

use self::writer::Writer;
use crate::{
    live::{event::Event, items::AccountData, items::Receipt},
    streams::{Ask, JoinedRoom, LeftRoom, News, StateSection, Summary, Timeline},
    token::{Token, prev_batch},
};

pub(crate) use devices::{no_keys, render_changes, render_keys};
pub(crate) use push_rules::{PUSH_RULES, default_push_rules};

/// Nothing happened. `keys` comes from [`render_keys`].
pub(crate) fn write_nothing(next: Token, keys: &[u8]) -> Bytes {
    let mut out = Writer::with_capacity(keys.len() + 100);
    out.open();
    out.key("next_batch");
    out.text(&next.to_string());
    out.comma();
    out.raw(keys);
    out.close();
    out.finish()
}

pub(crate) fn write(ask: &Ask, news: &News, now_ms: i64) -> Bytes {
    let mut body = Body { out: Writer::with_capacity(estimate(news)), ask, now_ms };
    body.out.open();
    body.out.key("next_batch");
    body.out.text(&news.next.to_string());
    body.account_data(news);
    body.to_device(&news.to_device);
    body.device_lists(&news.device_lists);
    body.rooms(news);
    body.out.comma();
    body.out.raw(&news.keys);
    body.out.close();
    body.out.finish()
}

/// Enough for most responses, so that the buffer grows at most once or twice.
fn estimate(news: &News) -> usize {
    let section = |state: &StateSection| match state {
        StateSection::Nothing => 0,
        StateSection::Whole(state) => state.bytes(),
        StateSection::Events(events) => events.iter().map(|event| event.json.len() + 2).sum(),
    };
    let timeline = |timeline: &Timeline| timeline.events.iter().map(|event| event.json.len() + 160).sum::<usize>();
    let joined = news.joined.values().map(|room| {
        500 + section(&room.state) + room.timeline.as_ref().map_or(0, timeline) + room.receipts.len() * 150
    });
    let to_device = news.to_device.iter().map(|message| message.content.len() + 150);
    1_000 + joined.sum::<usize>() + to_device.sum::<usize>()
}

struct Body<'a> {
    out: Writer,
    ask: &'a Ask,
    now_ms: i64,
}

impl Body<'_> {
    fn account_data(&mut self, news: &News) {
        let push_rules = self.ask.since.is_none()
            && self.ask.filter.account_data.admits_type(PUSH_RULES)
            && !news.account_data.iter().any(|item| &*item.data_type == PUSH_RULES);
        if news.account_data.is_empty() && !push_rules {
            return;
        }
        self.out.key("account_data");
        self.out.raw(b"{\"events\":[");
        if push_rules {
            self.out.raw(b"{\"type\":\"m.push_rules\",\"content\":{\"global\":");
            self.out.raw(&default_push_rules(&self.ask.user_id));
            self.out.raw(b"}}");
        }
        self.account_data_events(&news.account_data);
        self.out.raw(b"]}");
    }

    fn account_data_events(&mut self, items: &[Arc<AccountData>]) {
        for item in items {
            self.out.comma();
            self.out.raw(b"{\"type\":");
            self.out.text(&item.data_type);
            self.out.raw(b",\"content\":");
            self.out.raw(&item.content);
            self.out.raw(b"}");
        }
    }

    fn rooms(&mut self, news: &News) {
        if news.joined.is_empty() && news.left.is_empty() && news.invited.is_empty() && news.knocked.is_empty() {
            return;
        }
        self.out.key("rooms");
        self.out.open();
        self.section("join", &news.joined, Self::joined_room);
        self.section("invite", &news.invited, |body, stripped| body.stripped_room("invite_state", stripped));
        self.section("knock", &news.knocked, |body, stripped| body.stripped_room("knock_state", stripped));
        self.section("leave", &news.left, Self::left_room);
        self.out.close();
    }

    fn section<T>(
        &mut self,
        name: &str,
        rooms: &std::collections::BTreeMap<Arc<str>, T>,
        write: impl Fn(&mut Self, &T),
    ) {
        if rooms.is_empty() {
            return;
        }
        self.out.key(name);
        self.out.open();
        for (room_id, room) in rooms {
            self.out.key(room_id);
            self.out.open();
            write(self, room);
            self.out.close();
        }
        self.out.close();
    }

    fn joined_room(&mut self, room: &JoinedRoom) {
        if let Some(summary) = &room.summary {
            self.summary(summary);
        }
        self.state(&room.state, self.ask.state_after && room.timeline.is_some());
        if let Some(timeline) = &room.timeline {
            self.timeline(timeline);
        }
        self.ephemeral(room);
        if !room.account_data.is_empty() {
            self.out.key("account_data");
            self.out.raw(b"{\"events\":[");
            self.account_data_events(&room.account_data);
            self.out.raw(b"]}");
        }
    }

    /// Clients in use insist on both sections here, empty or not.
    fn left_room(&mut self, room: &LeftRoom) {
        self.state(&room.state, true);
        self.timeline(&room.timeline);
    }

    fn stripped_room(&mut self, name: &str, events: &[Bytes]) {
        self.out.key(name);
        self.out.raw(b"{\"events\":[");
        for event in events {
            self.out.comma();
            self.out.raw(event);
        }
        self.out.raw(b"]}");
    }

    fn summary(&mut self, summary: &Summary) {
        self.out.key("summary");
        self.out.open();
        if let Some(heroes) = &summary.heroes {
            self.out.key("m.heroes");
            self.out.raw(b"[");
            for hero in heroes {
                self.out.comma();
                self.out.text(hero);
            }
            self.out.raw(b"]");
        }
        self.out.key("m.joined_member_count");
        self.out.number(summary.joined as i64);
        self.out.key("m.invited_member_count");
        self.out.number(summary.invited as i64);
        self.out.close();
    }

    /// `even_empty`: a `state_after` beside a timeline tells the client how to read that, even when empty.
    fn state(&mut self, state: &StateSection, even_empty: bool) {
        let after = self.ask.state_after;
        if matches!(state, StateSection::Nothing) && !even_empty {
            return;
        }
        self.out.key(if after { "state_after" } else { "state" });
        self.out.raw(b"{\"events\":[");
        match state {
            StateSection::Nothing => {}
            StateSection::Whole(state) => self.out.raw(&state.rendered()),
            StateSection::Events(events) => {
                let mut events: Vec<&Arc<Event>> = events.iter().collect();
                events.sort_by_key(|event| event.position);
                for event in events {
                    self.out.comma();
                    self.out.raw(&event.json);
                }
            }
        }
        self.out.raw(b"]}");
    }

    fn timeline(&mut self, timeline: &Timeline) {
        self.out.key("timeline");
        self.out.raw(b"{\"events\":[");
        for (index, event) in timeline.events.iter().enumerate() {
            self.out.comma();
            let membership = timeline.membership_at(index, &self.ask.user_id);
            event::write(&mut self.out, event, membership, self.ask, self.now_ms);
        }
        self.out.raw(b"]");
        self.out.key("limited");
        self.out.raw(if timeline.limited { b"true" } else { b"false" });
        self.out.key("prev_batch");
        self.out.text(&prev_batch(timeline.before));
        self.out.close();
    }

    fn ephemeral(&mut self, room: &JoinedRoom) {
        if room.receipts.is_empty() && room.typing.is_none() {
            return;
        }
        self.out.key("ephemeral");
        self.out.raw(b"{\"events\":[");
        if let Some(users) = &room.typing {
            self.out.raw(b"{\"type\":\"m.typing\",\"content\":{\"user_ids\":[");
            for user in users {
                self.out.comma();
                self.out.text(user);
            }
            self.out.raw(b"]}}");
        }
        self.receipts(&room.receipts);
        self.out.raw(b"]}");
    }

    /// One event: `{event_id: {receipt_type: {user_id: {ts, thread_id?}}}}`. A user has one entry for an event and type,
    /// so a second one (another thread) goes into another event.
    fn receipts(&mut self, receipts: &[Arc<Receipt>]) {
        let mut rest: Vec<&Receipt> = receipts.iter().map(|receipt| &**receipt).collect();
        rest.sort_by(|a, b| {
            (&a.event_id, &a.receipt_type, &a.user_id).cmp(&(&b.event_id, &b.receipt_type, &b.user_id))
        });
        while !rest.is_empty() {
            let mut again: Vec<&Receipt> = Vec::new();
            let mut now: Vec<&Receipt> = Vec::new();
            for receipt in rest {
                let taken = now.last().is_some_and(|last: &&Receipt| {
                    (&last.event_id, &last.receipt_type, &last.user_id)
                        == (&receipt.event_id, &receipt.receipt_type, &receipt.user_id)
                });
                if taken { again.push(receipt) } else { now.push(receipt) }
            }
            self.receipt_event(&now);
            rest = again;
        }
    }

    fn receipt_event(&mut self, receipts: &[&Receipt]) {
        self.out.comma();
        self.out.raw(b"{\"type\":\"m.receipt\",\"content\":{");
        for of_event in receipts.chunk_by(|a, b| a.event_id == b.event_id) {
            self.out.key(&of_event[0].event_id);
            self.out.open();
            for of_type in of_event.chunk_by(|a, b| a.receipt_type == b.receipt_type) {
                self.out.key(&of_type[0].receipt_type);
                self.out.open();
                for receipt in of_type {
                    self.out.key(&receipt.user_id);
                    self.out.open();
                    self.out.key("ts");
                    self.out.number(receipt.ts_ms);
                    if !receipt.thread_id.is_empty() {
                        self.out.key("thread_id");
                        self.out.text(&receipt.thread_id);
                    }
                    self.out.close();
                }
                self.out.close();
            }
            self.out.close();
        }
        self.out.raw(b"}}");
    }
}

#[cfg(test)]
mod tests;
