//! Rooms that the requester is invited to or has knocked on: stripped state, nothing else.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use super::{super::Missing, Room};
use crate::{json, live::event::MEMBER};

pub(super) fn add(room: Room<'_>, section: &mut BTreeMap<Arc<str>, Vec<Bytes>>, missing: &mut Missing) {
    let view = room.view;
    let Some(stripped) = view.loaded.stripped.get(room.id) else {
        missing.stripped.insert(room.id.clone(), room.place.room);
        return;
    };
    let is_own = |event: &&Bytes| {
        json::find_text(event, "type") == Some(MEMBER)
            && json::find_text(event, "state_key") == Some(&*view.ask.user_id)
    };
    let sender = stripped.iter().find(is_own).and_then(|event| json::find_text(event, "sender"));
    if sender.is_some_and(|sender| view.user.ignored.contains(sender)) {
        return;
    }
    section.insert(room.id.clone(), stripped.clone());
}
