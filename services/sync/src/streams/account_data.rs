//! A user's private data, global and for rooms.

use std::{collections::HashMap, sync::Arc};

use matrixon_rooms::Membership;

use super::{Missing, News, Stream, View};
use crate::{live::items::AccountData, token::Token};

pub(crate) struct AccountDataStream;

impl Stream for AccountDataStream {
    fn complete(&self, view: &View<'_>, news: &mut News, missing: &mut Missing) {
        let Some(items) = all(view, missing) else { return };
        for item in items {
            add(view, item, news, |_| true);
        }
    }

    fn incremental(&self, view: &View<'_>, since: Token, news: &mut News, missing: &mut Missing) {
        let Some(items) = after(view, since.account_data, missing) else { return };
        for item in items {
            add(view, item, news, |_| true);
        }
        // set before the client knew of the room (a stay long ago)
        if !news.newly_joined.is_empty() {
            let Some(items) = all(view, missing) else { return };
            let newly_joined = news.newly_joined.clone();
            for item in items.into_iter().filter(|item| item.position <= since.account_data) {
                add(view, item, news, |room_id| newly_joined.contains(room_id));
            }
        }
    }
}

fn add(view: &View<'_>, item: Arc<AccountData>, news: &mut News, wants_room: impl Fn(&str) -> bool) {
    let filter = &view.ask.filter;
    if item.room_id.is_empty() {
        if wants_room("") && filter.account_data.admits(&item.data_type, &view.ask.user_id, b"{}") {
            news.account_data.push(item);
        }
        return;
    }
    let Some((room_id, place)) = view.user.rooms.get_key_value(&*item.room_id) else { return };
    let admitted = filter.admits_room(room_id)
        && filter.room_account_data.admits_room(room_id)
        && filter.room_account_data.admits(&item.data_type, &view.ask.user_id, b"{}");
    if place.membership == Membership::Join && admitted && wants_room(room_id) {
        news.joined(room_id).account_data.push(item);
    }
}

/// The latest of every key after `position`, ascending.
fn after(view: &View<'_>, position: i64, missing: &mut Missing) -> Option<Vec<Arc<AccountData>>> {
    let user_id = &view.ask.user_id;
    let tail = |position: i64| {
        let items = view.memory.account_data.since(position)?;
        Some(items.filter(|item| *item.user_id == **user_id).cloned().collect::<Vec<_>>())
    };
    if let Some(items) = tail(position) {
        return Some(latest(items));
    }
    let loaded = view.loaded.account_data_since.as_ref().and_then(|(upto, items)| {
        let newer = tail(*upto)?;
        Some(latest(items.iter().cloned().chain(newer).collect()))
    });
    if loaded.is_none() {
        missing.account_data_since = Some(position);
    }
    loaded
}

fn all(view: &View<'_>, missing: &mut Missing) -> Option<Vec<Arc<AccountData>>> {
    let loaded = view.loaded.account_data.as_ref().and_then(|(upto, items)| {
        let newer = view.memory.account_data.since(*upto)?.filter(|item| *item.user_id == *view.ask.user_id).cloned();
        Some(latest(items.iter().cloned().chain(newer).collect()))
    });
    missing.account_data |= loaded.is_none();
    loaded
}

fn latest(items: Vec<Arc<AccountData>>) -> Vec<Arc<AccountData>> {
    let last: HashMap<_, _> =
        items.iter().map(|item| ((item.room_id.clone(), item.data_type.clone()), item.position)).collect();
    let is_last = |item: &Arc<AccountData>| last[&(item.room_id.clone(), item.data_type.clone())] == item.position;
    items.into_iter().filter(is_last).collect()
}
