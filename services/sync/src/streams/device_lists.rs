//! Whose devices a client has to look up again, and whose it no longer needs to know:
//! <https://spec.matrix.org/v1.19/client-server-api/#tracking-the-device-list-for-a-user>
//!
//! Two users *share a room* when both are joined to it, encrypted or not, as `/keys/changes` has it: a superset of what a
//! client needs, for it then hears of everybody whom it may meet in an encrypted room, before the room is one. `changed` are
//!
//! - those whose devices or cross-signing keys changed and who share a room now, and the user themselves;
//! - those who share a room now and shared none at `since`;
//! - everybody in a room that became encrypted.
//!
//! `left` are those who shared a room at `since` and share none now. Memory answers as long as the requester's own rooms are
//! the same; who came or left is put online to know their rooms, once for everybody. All else is for SQL, exactly.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use matrixon_rooms::Membership;

use super::{Missing, News, Stream, View};
use crate::{
    live::{
        moves::{Change, Move},
        user::{OnlineUser, Place},
    },
    token::Token,
};

/// More users than these, of whose rooms memory knows nothing, are for SQL.
const MAX_STRANGERS: usize = 32;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DeviceLists {
    pub(crate) changed: BTreeSet<Arc<str>>,
    pub(crate) left: BTreeSet<Arc<str>>,
}

impl DeviceLists {
    pub(crate) fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.left.is_empty()
    }
}

/// What SQL says about the time from `since` up to these positions.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoadedLists {
    pub(crate) events: i64,
    pub(crate) device_lists: i64,
    pub(crate) lists: DeviceLists,
}

pub(crate) struct DeviceListStream;

impl Stream for DeviceListStream {
    /// A client that knows nothing asks for the devices that it needs.
    fn complete(&self, _view: &View<'_>, _news: &mut News, _missing: &mut Missing) {}

    fn incremental(&self, view: &View<'_>, since: Token, news: &mut News, missing: &mut Missing) {
        if view.now.events == since.events && view.now.device_lists == since.device_lists {
            return;
        }
        if let Some(loaded) = &view.loaded.device_lists {
            // what has happened since the load is for the next response, unless it moved people
            if relevant_moves(view, loaded.events).is_some_and(|moves| moves.is_empty()) {
                news.device_lists = loaded.lists.clone();
                news.next.device_lists = loaded.device_lists;
            } else {
                missing.device_lists = true;
            }
            return;
        }
        match from_memory(view, since, missing) {
            Some(lists) => news.device_lists = lists,
            None => missing.device_lists = true,
        }
    }
}

/// Moves after a position in rooms that the requester is in, and their own; None if they are no longer all in memory.
fn relevant_moves<'a>(view: &View<'a>, after: i64) -> Option<Vec<&'a Move>> {
    let is_relevant = |found: &&'a Arc<Move>| {
        let own = matches!(&found.what, Change::Joined(user) | Change::Left(user) if **user == *view.ask.user_id);
        own || is_joined(view.user, &found.room_id)
    };
    Some(view.memory.moves.since(after)?.filter(is_relevant).map(|found| &**found).collect())
}

fn is_joined(user: &OnlineUser, room_id: &str) -> bool {
    user.rooms.get(room_id).is_some_and(|place| place.membership == Membership::Join)
}

/// None: this is for SQL, or the rooms of somebody are to be loaded first, which `missing` then says.
fn from_memory(view: &View<'_>, since: Token, missing: &mut Missing) -> Option<DeviceLists> {
    let changes = view.memory.device_lists.since(since.device_lists)?;
    let changes = changes.filter(|change| change.is_visible_to(&view.ask.user_id));
    let changed: BTreeSet<&Arc<str>> = changes.map(|change| &change.user_id).collect();
    let moves = relevant_moves(view, since.events)?;
    let mut moved: BTreeMap<&Arc<str>, Vec<&Move>> = BTreeMap::new();
    for found in moves {
        match &found.what {
            Change::Joined(user) | Change::Left(user) if **user != *view.ask.user_id => {
                moved.entry(user).or_default().push(found);
            }
            _ => return None,
        }
    }
    let company: BTreeSet<&Arc<str>> = changed.iter().copied().chain(moved.keys().copied()).collect();
    let mut lists = DeviceLists::default();
    let mut strangers = BTreeSet::new();
    for user_id in company {
        if **user_id == *view.ask.user_id {
            lists.changed.insert(user_id.clone());
            continue;
        }
        let Some(user) = view.memory.user(user_id) else {
            strangers.insert(user_id.clone());
            continue;
        };
        let moves = moved.get(user_id).map_or(&[][..], Vec::as_slice);
        let (before, now) = sharing(view.user, user, moves);
        if now && (changed.contains(user_id) || !before) {
            lists.changed.insert(user_id.clone());
        } else if before && !now {
            lists.left.insert(user_id.clone());
        }
    }
    if strangers.len() > MAX_STRANGERS {
        return None;
    }
    missing.company = strangers;
    Some(lists)
}

/// Did the two share a room before these moves of `other`, and do they now? `own` has stayed in the same rooms.
fn sharing(own: &OnlineUser, other: &OnlineUser, moves: &[&Move]) -> (bool, bool) {
    let mut first_moves: HashMap<&str, &Change> = HashMap::new();
    for found in moves {
        first_moves.entry(&found.room_id).or_insert(&found.what);
    }
    let (fewer, more) = if own.rooms.len() < other.rooms.len() { (own, other) } else { (other, own) };
    let (mut before, mut now) = (false, false);
    for (room_id, place) in &fewer.rooms {
        let Some(counterpart) = more.rooms.get(room_id) else { continue };
        if !is_joined(own, room_id) {
            continue;
        }
        let both = |a: &Place, b: &Place| a.membership == Membership::Join && b.membership == Membership::Join;
        let share_now = both(place, counterpart);
        now |= share_now;
        before |= match first_moves.get(&**room_id) {
            Some(Change::Joined(_)) => false,
            Some(Change::Left(_)) => true,
            Some(Change::Encrypted) | None => share_now,
        };
        if before && now {
            break;
        }
    }
    (before, now)
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, sync::Arc};

    use matrixon_rooms::Membership;
    use proptest::prelude::*;

    use super::{Change, Move, OnlineUser, Place, sharing};

    const ROOMS: usize = 3;

    fn user(joined: &[bool]) -> OnlineUser {
        let membership = |joined: bool| if joined { Membership::Join } else { Membership::Leave };
        let place = |joined| Place { room: 1, membership: membership(joined), position: 1 };
        let rooms = joined.iter().enumerate().map(|(room, joined)| (room_id(room), place(*joined)));
        OnlineUser { rooms: rooms.collect(), ignored: HashSet::new(), bell: Arc::default() }
    }

    fn room_id(room: usize) -> Arc<str> {
        format!("!{room}").into()
    }

    proptest! {
        /// Against the plain history: who is where after each move.
        #[test]
        fn sharing_is_what_the_history_says(
            own in prop::array::uniform3(any::<bool>()),
            before in prop::array::uniform3(any::<bool>()),
            toggles in prop::collection::vec(0..ROOMS, 0..8),
        ) {
            let mut places = before;
            let mut moves = Vec::new();
            for (position, room) in toggles.into_iter().enumerate() {
                places[room] = !places[room];
                let what = if places[room] { Change::Joined("@o".into()) } else { Change::Left("@o".into()) };
                // only moves in the viewer's rooms are looked at
                if own[room] {
                    moves.push(Move { position: position as i64, room_id: room_id(room), what });
                }
            }
            let shares = |places: &[bool]| own.iter().zip(places).any(|(own, other)| *own && *other);
            let moves: Vec<&Move> = moves.iter().collect();
            prop_assert_eq!(sharing(&user(&own), &user(&places), &moves), (shares(&before), shares(&places)));
        }
    }
}
