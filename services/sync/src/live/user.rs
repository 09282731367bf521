//! Users who sync at this replica: their rooms, whom they ignore, and the bell of their waiting requests.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use matrixon_rooms::Membership;
use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use super::event::Event;

/// One user's place in one room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The room's interned number.
    pub(crate) room: i64,
    pub(crate) membership: Membership,
    /// Of the membership event.
    pub(crate) position: i64,
}

#[derive(Debug)]
pub(crate) struct OnlineUser {
    pub(crate) rooms: HashMap<Arc<str>, Place>,
    pub(crate) ignored: HashSet<String>,
    pub(crate) bell: Arc<Bell>,
}

/// Wakes the requests of one user that wait.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    pub(crate) notify: Notify,
    waiting: AtomicUsize,
    last_used_ms: AtomicI64,
    rung_at: Mutex<Option<Instant>>,
}

impl Bell {
    pub(crate) fn ring(&self) {
        if self.waiting.load(Ordering::Acquire) > 0 {
            *self.rung_at.lock() = Some(Instant::now());
        }
        self.notify.notify_waiters();
    }

    pub(crate) fn rung_at(&self) -> Option<Instant> {
        *self.rung_at.lock()
    }

    /// Counts a request until the guard is dropped; while there is one the user stays online.
    pub(crate) fn enter(self: &Arc<Self>, now_ms: i64) -> Present {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        self.last_used_ms.store(now_ms, Ordering::Release);
        Present { bell: self.clone() }
    }

    pub(crate) fn is_idle_since(&self, moment_ms: i64) -> bool {
        self.waiting.load(Ordering::Acquire) == 0 && self.last_used_ms.load(Ordering::Acquire) < moment_ms
    }
}

#[derive(Debug)]
pub(crate) struct Present {
    pub(crate) bell: Arc<Bell>,
}

impl Present {
    pub(crate) fn leave(&self, now_ms: i64) {
        self.bell.last_used_ms.store(now_ms, Ordering::Release);
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.bell.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Everybody who is online here, and who of them is in which room.
#[derive(Debug, Default)]
pub(crate) struct Online {
    users: HashMap<Arc<str>, OnlineUser>,
    /// Room → bells of its members.
    rooms: HashMap<Arc<str>, HashMap<Arc<str>, Arc<Bell>>>,
}

/// Bells to ring once the lock is released.
pub(crate) type Bells = Vec<Arc<Bell>>;

impl Online {
    pub(crate) fn len(&self) -> usize {
        self.users.len()
    }

    pub(crate) fn find(&self, user_id: &str) -> Option<&OnlineUser> {
        self.users.get(user_id)
    }

    pub(crate) fn ring_room(&self, room_id: &str, bells: &mut Bells) {
        bells.extend(self.rooms.get(room_id).into_iter().flat_map(HashMap::values).cloned());
    }

    pub(crate) fn ring_user(&self, user_id: &str, bells: &mut Bells) {
        bells.extend(self.users.get(user_id).map(|user| user.bell.clone()));
    }

    /// Everybody who is in a room with an online user, and that user. False if the user is not online here.
    pub(crate) fn ring_company(&self, user_id: &str, bells: &mut Bells) -> bool {
        let Some(user) = self.users.get(user_id) else { return false };
        bells.push(user.bell.clone());
        for (room_id, _) in user.rooms.iter().filter(|(_, place)| place.membership == Membership::Join) {
            self.ring_room(room_id, bells);
        }
        true
    }

    pub(crate) fn ring_all(&self, bells: &mut Bells) {
        bells.extend(self.users.values().map(|user| user.bell.clone()));
    }

    pub(crate) fn add(&mut self, user_id: &Arc<str>, rooms: HashMap<Arc<str>, Place>, ignored: HashSet<String>) {
        let user = OnlineUser { rooms, ignored, bell: Arc::default() };
        for (room_id, place) in &user.rooms {
            index(&mut self.rooms, room_id, user_id, (place.membership, &user.bell));
        }
        self.users.insert(user_id.clone(), user);
    }

    /// A membership event moves its user, if online. Idempotent: older events than the known place change nothing.
    pub(crate) fn move_member(&mut self, event: &Event, bells: &mut Bells) {
        let (Some(membership), Some(user_id)) = (event.membership, &event.state_key) else { return };
        let Some(user) = self.users.get_mut(user_id) else { return };
        if user.rooms.get(&event.room_id).is_some_and(|place| place.position >= event.position) {
            return;
        }
        let place = Place { room: event.room, membership, position: event.position };
        user.rooms.insert(event.room_id.clone(), place);
        bells.push(user.bell.clone());
        index(&mut self.rooms, &event.room_id, user_id, (membership, &user.bell));
    }

    pub(crate) fn ignore(&mut self, user_id: &str, content: &[u8]) {
        if let Some(user) = self.users.get_mut(user_id) {
            user.ignored = ignored_users(content);
        }
    }

    /// Forgets users who have no request here since that moment.
    pub(crate) fn drop_idle(&mut self, since_ms: i64) {
        let idle: Vec<_> = self.users.extract_if(|_, user| user.bell.is_idle_since(since_ms)).collect();
        for (user_id, user) in idle {
            for room_id in user.rooms.keys() {
                index(&mut self.rooms, room_id, &user_id, (Membership::Leave, &user.bell));
            }
        }
    }
}

fn index(
    rooms: &mut HashMap<Arc<str>, HashMap<Arc<str>, Arc<Bell>>>,
    room_id: &Arc<str>,
    user_id: &Arc<str>,
    (membership, bell): (Membership, &Arc<Bell>),
) {
    if membership == Membership::Join {
        rooms.entry(room_id.clone()).or_default().insert(user_id.clone(), bell.clone());
    } else if let Some(members) = rooms.get_mut(room_id) {
        members.remove(user_id);
        if members.is_empty() {
            rooms.remove(room_id);
        }
    }
}

/// A user's rooms and ignored users as SQL had them at these positions.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoadedUser {
    pub(crate) rooms: Vec<(Arc<str>, Place)>,
    pub(crate) events: i64,
    pub(crate) ignored: Option<Bytes>,
    pub(crate) account_data: i64,
}

pub(crate) const IGNORED_USERS: &str = "m.ignored_user_list";

/// The users that the content of [`IGNORED_USERS`] names; nobody if it is not as it should be.
pub(crate) fn ignored_users(content: &[u8]) -> HashSet<String> {
    let content: serde_json::Value = serde_json::from_slice(content).unwrap_or_default();
    let users = content.get("ignored_users").and_then(serde_json::Value::as_object);
    users.into_iter().flat_map(serde_json::Map::keys).cloned().collect()
}
