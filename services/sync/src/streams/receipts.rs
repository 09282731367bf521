//! Read receipts of the requester's rooms.

use std::{collections::HashMap, sync::Arc};

use matrixon_rooms::Membership;

use super::{Missing, News, Stream, View};
use crate::{live::items::Receipt, token::Token};

pub(crate) struct Receipts;

impl Stream for Receipts {
    fn complete(&self, view: &View<'_>, news: &mut News, _missing: &mut Missing) {
        for (room_id, place) in &view.user.rooms {
            if place.membership == Membership::Join && admits(view, room_id) {
                add_all(view, room_id, news);
            }
        }
    }

    fn incremental(&self, view: &View<'_>, since: Token, news: &mut News, missing: &mut Missing) {
        let Some(receipts) = after(view, since.receipts, missing) else { return };
        for receipt in receipts {
            let Some((room_id, place)) = view.user.rooms.get_key_value(&*receipt.room_id) else { continue };
            let wanted = place.membership == Membership::Join
                && receipt.is_visible_to(&view.ask.user_id)
                && !news.newly_joined.contains(room_id)
                && admits(view, room_id);
            if wanted {
                let known = &mut news.joined(room_id).receipts;
                known.retain(|known| !known.same_key(&receipt));
                known.push(receipt);
            }
        }
        for room_id in news.newly_joined.clone() {
            if admits(view, &room_id) {
                add_all(view, &room_id, news);
            }
        }
    }
}

fn admits(view: &View<'_>, room_id: &str) -> bool {
    let filter = &view.ask.filter;
    filter.admits_room(room_id) && filter.ephemeral.admits_room(room_id) && filter.ephemeral.admits_type("m.receipt")
}

/// Every receipt of a room whose state the events stream needed as well, so that it is in memory or loaded.
fn add_all(view: &View<'_>, room_id: &Arc<str>, news: &mut News) {
    let mut receipts: Vec<Arc<Receipt>> = Vec::new();
    if let Some((_, warm)) = view.memory.warm_room(room_id) {
        receipts.extend(warm.receipts.iter().cloned());
    } else if let Some(loaded) = view.loaded.rooms.get(room_id) {
        let newer = view.memory.receipts.since(loaded.receipts_upto).into_iter().flatten();
        let newer = newer.filter(|receipt| receipt.room_id == *room_id);
        let latest: HashMap<_, _> = loaded
            .receipts
            .iter()
            .chain(newer)
            .map(|receipt| ((&receipt.user_id, &receipt.receipt_type, &receipt.thread_id), receipt))
            .collect();
        receipts.extend(latest.into_values().cloned());
    }
    receipts.retain(|receipt| receipt.is_visible_to(&view.ask.user_id));
    if !receipts.is_empty() {
        news.joined(room_id).receipts = receipts;
    }
}

fn after(view: &View<'_>, position: i64, missing: &mut Missing) -> Option<Vec<Arc<Receipt>>> {
    if let Some(receipts) = view.memory.receipts.since(position) {
        return Some(receipts.cloned().collect());
    }
    let loaded = view.loaded.receipts_since.as_ref().and_then(|(upto, receipts)| {
        let newer = view.memory.receipts.since(*upto)?;
        Some(receipts.iter().chain(newer).cloned().collect())
    });
    if loaded.is_none() {
        missing.receipts_since = Some(position);
    }
    loaded
}
