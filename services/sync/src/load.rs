//! Loads from SQL what memory lacks for a response: a constant number of statements, however many rooms it is about.

use std::{collections::HashMap, sync::Arc};

use crate::{
    device_lists,
    error::SyncError,
    live::{event::Event, memory::LoadedRoom, room::KEEP},
    state::Shared,
    store,
    streams::{Ask, Gap, Loaded, Missing},
    token::Token,
};

/// Messages of one response, and bytes of their contents.
const INBOX: (i64, i64) = (100, 1 << 20);

/// Adds to `loaded` what is missing; rooms are also kept in memory for the next request.
pub(crate) async fn load(shared: &Shared, ask: &Ask, missing: &Missing, loaded: &mut Loaded) -> Result<(), SyncError> {
    let db = &shared.db;
    let user_id = &*ask.user_id;
    if !missing.rooms.is_empty() {
        load_rooms(shared, missing, loaded).await?;
    }
    if !missing.gaps.is_empty() {
        let gaps: Vec<Gap> = missing.gaps.values().copied().collect();
        let by_number = store::events::load_gaps(db, &gaps).await?;
        loaded.gaps.extend(by_id(&missing.gaps, |gap| gap.room, by_number));
    }
    if !missing.histories.is_empty() {
        let rooms: Vec<i64> = missing.histories.values().copied().collect();
        let by_number = store::memberships::load_histories(db, &rooms, user_id).await?;
        loaded.histories.extend(by_id(&missing.histories, |room| *room, by_number));
    }
    if !missing.stripped.is_empty() {
        let rooms: Vec<i64> = missing.stripped.values().copied().collect();
        let mut by_number = store::events::load_stripped(db, &rooms, user_id).await?;
        let found = |(id, room): (&Arc<str>, &i64)| (id.clone(), by_number.remove(room).unwrap_or_default());
        loaded.stripped.extend(missing.stripped.iter().map(found));
    }
    for (room_id, gap) in &missing.left {
        loaded.left.insert(room_id.clone(), store::events::load_left(db, room_id, *gap).await?);
    }
    if missing.forgotten {
        loaded.forgotten = Some(store::memberships::load_forgotten(db, user_id).await?);
    }
    load_company(shared, ask, missing, loaded).await?;
    load_of_device(shared, ask, missing, loaded).await?;
    load_others(shared, ask, missing, loaded).await
}

/// The oldest messages of the device, and the keys that it has left.
pub(crate) async fn load_of_device(
    shared: &Shared,
    ask: &Ask,
    missing: &Missing,
    loaded: &mut Loaded,
) -> Result<(), SyncError> {
    if let Some(after) = missing.inbox {
        let batch = store::to_device::list(&shared.db, ask.device, after, INBOX).await?;
        shared.live.catch_up(Token { to_device: batch.head, ..Token::default() }).await?;
        loaded.inbox = Some(batch);
    }
    if missing.keys {
        loaded.keys = Some(shared.live.reload_keys(ask.device).await?);
    }
    Ok(())
}

/// Who shares rooms with the requester: from users who are put online for that, or as SQL says.
async fn load_company(shared: &Shared, ask: &Ask, missing: &Missing, loaded: &mut Loaded) -> Result<(), SyncError> {
    for user_id in &missing.company {
        shared.live.online(user_id).await?;
    }
    if let Some(since) = ask.since.filter(|_| missing.device_lists) {
        let lists = device_lists::since(shared, &ask.user_id, since).await?;
        let moment = Token { events: lists.events, device_lists: lists.device_lists, ..Token::default() };
        shared.live.catch_up(moment).await?;
        loaded.device_lists = Some(lists);
    }
    Ok(())
}

async fn load_others(shared: &Shared, ask: &Ask, missing: &Missing, loaded: &mut Loaded) -> Result<(), SyncError> {
    let db = &shared.db;
    let mut target = Token::default();
    if missing.account_data {
        let (head, items) = store::account_data::list_for_user(db, &ask.user_id, 0).await?;
        target.account_data = target.account_data.max(head);
        loaded.account_data = Some((head, items.into_iter().map(Arc::new).collect()));
    }
    if let Some(since) = missing.account_data_since {
        let (head, items) = store::account_data::list_for_user(db, &ask.user_id, since).await?;
        target.account_data = target.account_data.max(head);
        loaded.account_data_since = Some((head, items.into_iter().map(Arc::new).collect()));
    }
    if let Some(since) = missing.receipts_since {
        let rooms: Vec<i64> = shared.live.read(|memory| {
            let user = memory.user(&ask.user_id);
            user.into_iter().flat_map(|user| user.rooms.values()).map(|place| place.room).collect()
        });
        let (head, receipts) = store::receipts::list_in_rooms(db, &rooms, since).await?;
        target.receipts = head;
        loaded.receipts_since = Some((head, receipts.into_iter().map(Arc::new).collect()));
    }
    // what was loaded may be newer than this memory: the response's moment must not be before it
    shared.live.catch_up(target).await
}

async fn load_rooms(shared: &Shared, missing: &Missing, loaded: &mut Loaded) -> Result<(), SyncError> {
    let db = &shared.db;
    let numbers: Vec<i64> = missing.rooms.values().map(|(room, _)| *room).collect();
    let limit = missing.rooms.values().map(|(_, want)| *want).max().unwrap_or(0).max(KEEP);
    let (upto, mut states) = store::events::load_states(db, &numbers).await?;
    let mut timelines = store::events::load_timelines(db, &numbers, 0, upto, limit).await?;
    let (receipts_upto, receipts) = store::receipts::list_in_rooms(db, &numbers, 0).await?;
    let mut receipts = store::receipts::by_room(receipts);
    shared.live.catch_up(Token { events: upto, receipts: receipts_upto, ..Token::default() }).await?;
    let mut rooms = Vec::with_capacity(numbers.len());
    for (room_id, (room, _)) in &missing.rooms {
        let events: Vec<Arc<Event>> = timelines.remove(room).unwrap_or_default();
        let complete = events.len() < limit;
        let room = LoadedRoom {
            floor: events.first().filter(|_| !complete).map_or(0, |first| first.position - 1),
            upto,
            events,
            state: Arc::new(states.remove(room).unwrap_or_default()),
            receipts: receipts.remove(room_id).unwrap_or_default(),
            receipts_upto,
        };
        rooms.push((room_id.clone(), room));
    }
    shared.live.change(|memory, _| {
        for (room_id, room) in &rooms {
            memory.install_room(room_id, room);
        }
    });
    loaded.rooms.extend(rooms);
    Ok(())
}

fn by_id<K, T>(
    ids: &std::collections::BTreeMap<Arc<str>, K>,
    number: impl Fn(&K) -> i64,
    mut by_number: HashMap<i64, T>,
) -> Vec<(Arc<str>, T)> {
    ids.iter().filter_map(|(id, key)| Some((id.clone(), by_number.remove(&number(key))?))).collect()
}
