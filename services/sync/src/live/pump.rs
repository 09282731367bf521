//! One task a process: takes bells from the bus and heads from SQL, and moves the memory along the streams.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use matrixon_bus::{Bus, BusEvent, Subscription};
use matrixon_cache::Cache;
use matrixon_proto::bus::v1::{
    AccountDataItem, Bell, DeviceListItem, EventItem, KeyCountItem, ReceiptItem, ToDeviceItem, TypingChange,
};
use matrixon_runtime::shutdown::Shutdown;
use matrixon_store::{
    StoreError,
    streams::{self, Follower, Step, Stream},
};
use prost::Message;

use super::{
    Live,
    event::Event,
    items::{AccountData, DeviceListChange, KeyCountChange, Receipt, ToDevicePlace},
    memory::MemoryLimits,
};
use crate::{json, metrics::METRICS, store, token::Token, typing};

/// After SQL refused: the next try.
const RETRY: Duration = Duration::from_millis(150);

pub(crate) struct Pump {
    live: Arc<Live>,
    cache: Cache,
    events: Follower<Event>,
    receipts: Follower<Receipt>,
    account_data: Follower<AccountData>,
    to_device: Follower<ToDevicePlace>,
    device_lists: Follower<DeviceListChange>,
    key_counts: Follower<KeyCountChange>,
    gaps: [u64; 6],
}

struct Subscriptions {
    events: Subscription,
    receipts: Subscription,
    account_data: Subscription,
    to_device: Subscription,
    device_lists: Subscription,
    key_counts: Subscription,
    typing: Subscription,
}

/// Runs until the process stops.
pub(crate) async fn run(live: Arc<Live>, bus: Bus, cache: Cache, limits: MemoryLimits, shutdown: Shutdown) {
    tokio::select! {
        () = follow(live, bus, cache, limits) => {}
        () = shutdown.wait_stopped() => {}
    }
}

async fn follow(live: Arc<Live>, bus: Bus, cache: Cache, limits: MemoryLimits) {
    // subscribed before the heads are read, so that nothing falls between the two
    let subscribe = |stream: Stream| bus.subscribe(&stream.subject());
    let mut subscriptions = Subscriptions {
        events: subscribe(Stream::EVENTS),
        receipts: subscribe(Stream::RECEIPTS),
        account_data: subscribe(Stream::ACCOUNT_DATA),
        to_device: subscribe(Stream::TO_DEVICE),
        device_lists: subscribe(Stream::DEVICE_LISTS),
        key_counts: subscribe(Stream::KEY_COUNTS),
        typing: bus.subscribe(typing::SUBJECT),
    };
    let heads = first_heads(&live).await;
    live.begin(heads, limits);
    let mut pump = Pump {
        live,
        cache,
        events: Follower::new(heads.events),
        receipts: Follower::new(heads.receipts),
        account_data: Follower::new(heads.account_data),
        to_device: Follower::new(heads.to_device),
        device_lists: Follower::new(heads.device_lists),
        key_counts: Follower::new(heads.key_counts),
        gaps: [0; 6],
    };
    let mut wanted = pump.live.wanted.subscribe();
    loop {
        let until = pump.advance().await;
        let again = tokio::time::sleep_until(until.into());
        tokio::select! {
            event = subscriptions.events.next() => ring(&mut pump.events, event, |item: EventItem| (item.position, Event::from_item(item))),
            event = subscriptions.receipts.next() => ring(&mut pump.receipts, event, |item: ReceiptItem| (item.position, Receipt::from_item(item))),
            event = subscriptions.account_data.next() => {
                ring(&mut pump.account_data, event, |item: AccountDataItem| (item.position, AccountData::from_item(item)));
            }
            event = subscriptions.to_device.next() => {
                ring(&mut pump.to_device, event, |item: ToDeviceItem| (item.position, ToDevicePlace::from_item(item)));
            }
            event = subscriptions.device_lists.next() => {
                ring(&mut pump.device_lists, event, |item: DeviceListItem| (item.position, DeviceListChange::from_item(item)));
            }
            event = subscriptions.key_counts.next() => {
                ring(&mut pump.key_counts, event, |item: KeyCountItem| (item.position, KeyCountChange::from_item(item)));
            }
            event = subscriptions.typing.next() => pump.typing(event).await,
            _changed = wanted.changed() => {}
            () = again => {}
        }
        let known = *wanted.borrow_and_update();
        pump.head_is(known);
    }
}

async fn first_heads(live: &Live) -> Token {
    loop {
        match streams::heads(&live.db).await {
            Ok(heads) => return Token::at(heads),
            Err(error) => tracing::warn!(%error, "the streams cannot be read yet"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

impl Pump {
    /// Delivers what can be delivered, and says when to look again.
    async fn advance(&mut self) -> Instant {
        let mut until = Instant::now() + Duration::from_secs(1);
        let steps = [
            self.advance_events().await,
            self.advance_receipts().await,
            self.advance_account_data().await,
            self.advance_to_device().await,
            self.advance_device_lists().await,
            self.advance_key_counts().await,
        ];
        for step in steps {
            match step {
                Ok(Some(due)) => until = until.min(due),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "a range of a stream cannot be read");
                    until = until.min(Instant::now() + RETRY);
                }
            }
        }
        self.measure();
        self.expire_typing().map_or(until, |ends| until.min(ends))
    }

    async fn advance_events(&mut self) -> Result<Option<Instant>, StoreError> {
        loop {
            match self.events.next(Instant::now()) {
                Step::Wait(due) => return Ok(due),
                Step::Deliver(events) => self.deliver_events(events, self.events.head()).await,
                Step::Load { after, upto } => {
                    let events = store::events::list_range(&self.live.db, after, upto).await?;
                    self.deliver_events(events, upto).await;
                    self.events.loaded(upto);
                }
            }
        }
    }

    /// Redacted events lose their content in the same moment in which the redaction appears.
    async fn deliver_events(&self, events: Vec<Event>, upto: i64) {
        let redacted: Vec<(Event, String)> =
            events.iter().filter_map(|event| Some((event.clone(), redacts(event)?))).collect();
        let mut texts = std::collections::HashMap::new();
        while !redacted.is_empty() {
            let ids: Vec<&str> = redacted.iter().map(|(_, event_id)| event_id.as_str()).collect();
            match store::events::load_json(&self.live.db, &ids).await {
                Ok(loaded) => {
                    texts = loaded;
                    break;
                }
                Err(error) => tracing::warn!(%error, "redacted events cannot be read"),
            }
            tokio::time::sleep(RETRY).await;
        }
        self.live.change(|memory, bells| {
            for event in events {
                memory.push_event(event, bells);
            }
            for (redaction, event_id) in &redacted {
                if let Some(json) = texts.get(event_id) {
                    memory.redact(event_id, json, redaction);
                }
            }
            memory.reach_event(upto);
        });
    }

    async fn advance_receipts(&mut self) -> Result<Option<Instant>, StoreError> {
        let live = &*self.live;
        let load = |after, upto| store::receipts::list_range(&live.db, after, upto);
        walk(&mut self.receipts, load, |receipts, upto| {
            live.change(|memory, bells| {
                for receipt in receipts {
                    memory.push_receipt(receipt, bells);
                }
                memory.receipts.reach(upto);
            });
        })
        .await
    }

    async fn advance_account_data(&mut self) -> Result<Option<Instant>, StoreError> {
        let live = &*self.live;
        let load = |after, upto| store::account_data::list_range(&live.db, after, upto);
        walk(&mut self.account_data, load, |items, upto| {
            live.change(|memory, bells| {
                for item in items {
                    memory.push_account_data(item, bells);
                }
                memory.account_data.reach(upto);
            });
        })
        .await
    }

    async fn advance_to_device(&mut self) -> Result<Option<Instant>, StoreError> {
        let live = &*self.live;
        let load = |after, upto| store::to_device::list_range(&live.db, after, upto);
        walk(&mut self.to_device, load, |places, upto| {
            live.change(|memory, bells| {
                for place in places {
                    memory.devices.push_message(place, bells);
                }
                memory.devices.to_device = memory.devices.to_device.max(upto);
            });
        })
        .await
    }

    async fn advance_device_lists(&mut self) -> Result<Option<Instant>, StoreError> {
        let live = &*self.live;
        let load = |after, upto| store::device_lists::list_range(&live.db, after, upto);
        walk(&mut self.device_lists, load, |changes, upto| {
            let strangers = live.change(|memory, bells| {
                let mut strangers: Vec<Arc<str>> = Vec::new();
                for change in changes {
                    let user_id = change.user_id.clone();
                    if !memory.push_device_list(change, bells) && !strangers.contains(&user_id) {
                        strangers.push(user_id);
                    }
                }
                memory.device_lists.reach(upto);
                strangers
            });
            for user_id in strangers {
                live.wake_company(user_id);
            }
        })
        .await
    }

    async fn advance_key_counts(&mut self) -> Result<Option<Instant>, StoreError> {
        let live = &*self.live;
        let load = |after, upto| store::devices::list_key_changes(&live.db, after, upto);
        walk(&mut self.key_counts, load, |changes, upto| {
            live.change(|memory, _| {
                for change in changes {
                    memory.devices.push_key_count(change);
                }
                memory.devices.key_counts = memory.devices.key_counts.max(upto);
            });
        })
        .await
    }

    fn head_is(&mut self, known: Token) {
        self.events.head_is(known.events);
        self.receipts.head_is(known.receipts);
        self.account_data.head_is(known.account_data);
        self.to_device.head_is(known.to_device);
        self.device_lists.head_is(known.device_lists);
        self.key_counts.head_is(known.key_counts);
    }

    /// After a reset the cache tells who is typing.
    async fn typing(&self, event: BusEvent) {
        let changes = match event {
            BusEvent::Message { payload, .. } => TypingChange::decode(payload).into_iter().collect(),
            BusEvent::Reset => typing::load(&self.cache, self.live.clock.now_ms()).await,
        };
        for change in changes {
            typing::apply(&self.live, &change);
        }
    }

    /// Ends typing notices whose time is over; returns when the next one ends.
    fn expire_typing(&self) -> Option<Instant> {
        let now_ms = self.live.clock.now_ms();
        let ends_ms = self.live.read(|memory| memory.typing.next_end_ms())?;
        if ends_ms > now_ms {
            return Some(Instant::now() + Duration::from_millis((ends_ms - now_ms) as u64));
        }
        self.live
            .change(|memory, bells| {
                for room_id in memory.typing.expire(now_ms) {
                    memory.online.ring_room(&room_id, bells);
                }
                memory.typing.next_end_ms()
            })
            .map(|ends_ms| Instant::now() + Duration::from_millis((ends_ms - now_ms).max(0) as u64))
    }

    fn measure(&mut self) {
        let streams = [
            ("events", self.events.head(), self.events.lag(), self.events.gaps()),
            ("receipts", self.receipts.head(), self.receipts.lag(), self.receipts.gaps()),
            ("account_data", self.account_data.head(), self.account_data.lag(), self.account_data.gaps()),
            ("to_device", self.to_device.head(), self.to_device.lag(), self.to_device.gaps()),
            ("device_lists", self.device_lists.head(), self.device_lists.lag(), self.device_lists.gaps()),
            ("key_counts", self.key_counts.head(), self.key_counts.lag(), self.key_counts.gaps()),
        ];
        for ((stream, head, lag, gaps), known) in streams.into_iter().zip(&mut self.gaps) {
            METRICS.stream_position.with_label_values(&[stream]).set(head);
            METRICS.stream_lag.with_label_values(&[stream, "sync"]).set(lag);
            METRICS.bus_gaps.with_label_values(&[stream]).inc_by(gaps - *known);
            *known = gaps;
        }
    }
}

/// Takes what the follower has to deliver, loading what the bus lost, and returns when to look again.
async fn walk<T, F: Future<Output = Result<Vec<T>, StoreError>>>(
    follower: &mut Follower<T>,
    load: impl Fn(i64, i64) -> F,
    take: impl Fn(Vec<T>, i64),
) -> Result<Option<Instant>, StoreError> {
    loop {
        let (items, upto) = match follower.next(Instant::now()) {
            Step::Wait(due) => return Ok(due),
            Step::Deliver(items) => (items, follower.head()),
            Step::Load { after, upto } => {
                let items = load(after, upto).await?;
                follower.loaded(upto);
                (items, upto)
            }
        };
        take(items, upto);
    }
}

/// A bell whose items cannot be read counts as one without items. A reset is answered by the next heartbeat.
fn ring<T, I: Message + Default>(follower: &mut Follower<T>, event: BusEvent, read: impl Fn(I) -> (i64, T)) {
    let BusEvent::Message { payload, .. } = event else { return };
    let bell = match Bell::decode(payload) {
        Ok(bell) => bell,
        Err(error) => {
            tracing::warn!(%error, "a bell cannot be read");
            return;
        }
    };
    let complete = bell.items.len() as i64 == bell.last - bell.first + 1;
    let items = bell.items.iter().map(|item| I::decode(&item[..]).map(&read)).collect::<Result<Vec<_>, _>>();
    follower.bell(bell.first, bell.last, items.ok().filter(|_| complete), Instant::now());
}

/// The event that an event of `m.room.redaction` redacts: at the top level, or in `content` since room version 11.
fn redacts(event: &Event) -> Option<String> {
    if !event.is_redaction() {
        return None;
    }
    let content = || json::find(&event.json, "content").and_then(|content| json::find_text(content, "redacts"));
    json::find_text(&event.json, "redacts").or_else(content).map(str::to_owned)
}
