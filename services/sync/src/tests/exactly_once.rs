//! Random room histories, lost bells, tiny memories, two replicas, random filters: every client sees each event once, in
//! order, and what it makes of the responses is the state that the rooms really have.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Harness, World, harness::Client, world::user};
use crate::{Config, token::Token};

const USERS: usize = 4;
const ROOMS: usize = 3;
/// Loads members lazily.
const LAZY: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Join {
        user: usize,
        room: usize,
    },
    Leave {
        user: usize,
        room: usize,
    },
    Ban {
        user: usize,
        room: usize,
    },
    Message {
        user: usize,
        room: usize,
        many: usize,
    },
    State {
        user: usize,
        room: usize,
        key: usize,
    },
    Bells {
        ring: bool,
    },
    Invite {
        user: usize,
        room: usize,
    },
    /// The client forgets everything and begins anew.
    Begin {
        user: usize,
    },
    Sync {
        user: usize,
        replica: usize,
        limit: usize,
        only_messages: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let (users, rooms, rooms2) = (0..USERS, 0..ROOMS, 0..ROOMS);
    prop_oneof![
        3 => (users.clone(), rooms.clone()).prop_map(|(user, room)| Step::Join { user, room }),
        1 => (1..USERS, rooms.clone()).prop_map(|(user, room)| Step::Leave { user, room }),
        1 => (1..USERS, rooms.clone()).prop_map(|(user, room)| Step::Ban { user, room }),
        4 => (users.clone(), rooms.clone(), 1..5_usize).prop_map(|(user, room, many)| Step::Message { user, room, many }),
        3 => (users.clone(), rooms, 0..3_usize).prop_map(|(user, room, key)| Step::State { user, room, key }),
        1 => any::<bool>().prop_map(|ring| Step::Bells { ring }),
        1 => (1..USERS, rooms2).prop_map(|(user, room)| Step::Invite { user, room }),
        1 => users.clone().prop_map(|user| Step::Begin { user }),
        6 => (users, 0..2_usize, prop_oneof![Just(1_usize), Just(3), Just(50)], any::<bool>()).prop_map(
            |(user, replica, limit, only_messages)| Step::Sync { user, replica, limit, only_messages }
        ),
    ]
}

/// What a client has made of its responses.
#[derive(Default)]
struct Folded {
    since: Option<String>,
    joined: BTreeMap<String, FoldedRoom>,
    /// Events of all timelines ever.
    seen: BTreeSet<String>,
}

#[derive(Default)]
struct FoldedRoom {
    state: BTreeMap<(String, String), String>,
    newest: i64,
}

impl Folded {
    async fn sync(&mut self, world: &World, client: &Client, filter: &Value) {
        let filter = filter.to_string();
        let mut query = vec![("filter", filter.as_str())];
        let since = self.since.clone();
        if let Some(since) = &since {
            query.push(("since", since));
        }
        let response = client.sync(&query).await;
        for (room_id, room) in object(&response["rooms"]["join"]) {
            let folded = self.joined.entry(room_id.clone()).or_default();
            for event in list(&room["state"]["events"]) {
                folded.apply(event);
            }
            for event in list(&room["timeline"]["events"]) {
                take(&mut self.seen, world, event, &mut folded.newest);
                folded.apply(event);
            }
        }
        for (room_id, room) in object(&response["rooms"]["leave"]) {
            let mut newest = self.joined.remove(room_id).map_or(0, |room| room.newest);
            for event in list(&room["timeline"]["events"]) {
                take(&mut self.seen, world, event, &mut newest);
            }
        }
        self.since = Some(response["next_batch"].as_str().unwrap().to_owned());
    }
}

/// Each event once, and later ones later.
fn take(seen: &mut BTreeSet<String>, world: &World, event: &Value, newest: &mut i64) {
    let event_id = event["event_id"].as_str().unwrap();
    assert!(seen.insert(event_id.to_owned()), "{event_id} was delivered twice");
    let position = world.events.iter().find(|sent| sent.event_id == event_id).unwrap().position;
    assert!(position > *newest, "{event_id} came after a later one");
    *newest = position;
}

impl FoldedRoom {
    fn apply(&mut self, event: &Value) {
        if let Some(key) = event["state_key"].as_str() {
            let key = (event["type"].as_str().unwrap().to_owned(), key.to_owned());
            self.state.insert(key, event["event_id"].as_str().unwrap().to_owned());
        }
    }
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

async fn act(world: &mut World, harness: &Harness, folded: &mut [Folded], step: Step) {
    let is_in =
        |world: &World, room: usize, name: &str| world.membership_at(room, name, i64::MAX).as_deref() == Some("join");
    match step {
        Step::Join { user: number, room } => {
            let name = user(number);
            world.member(room, &name, &name, "join").await;
        }
        Step::Leave { user: number, room } if is_in(world, room, &user(number)) => {
            world.member(room, &user(number), &user(number), "leave").await;
        }
        Step::Ban { user: number, room } => {
            world.member(room, &user(0), &user(number), "ban").await;
        }
        Step::Invite { user: number, room } if !is_in(world, room, &user(number)) => {
            world.member(room, &user(0), &user(number), "invite").await;
        }
        Step::Begin { user: number } => folded[number] = Folded::default(),
        Step::Message { user: number, room, many } if is_in(world, room, &user(number)) => {
            for _ in 0..many {
                world.message(room, &user(number), "hello").await;
            }
        }
        Step::State { user: number, room, key } if is_in(world, room, &user(number)) => {
            let content = json!({"n": world.events.len()});
            world.state(room, &user(number), "org.example.thing", &key.to_string(), content).await;
        }
        Step::Bells { ring } => world.rings = ring,
        Step::Sync { user: number, replica, limit, only_messages } => {
            let lazy = number == LAZY;
            let mut filter = json!({"room": {"timeline": {"limit": limit}, "state": {"lazy_load_members": lazy}}});
            if only_messages {
                filter["room"]["timeline"]["types"] = json!(["m.room.message"]);
            }
            let client = harness.client(replica, &user(number));
            folded[number].sync(world, &client, &filter).await;
            check_rooms(world, &folded[number], number, lazy);
        }
        Step::Leave { .. } | Step::Invite { .. } | Step::Message { .. } | Step::State { .. } => {}
    }
}

/// The client's rooms and their states are those of its token's moment.
fn check_rooms(world: &World, folded: &Folded, number: usize, lazy: bool) {
    let upto = folded.since.as_ref().unwrap().parse::<Token>().unwrap().events;
    assert_eq!(upto, world.events.last().unwrap().position, "a sync sees everything that was acknowledged before it");
    let name = user(number);
    for (index, room) in world.rooms.iter().enumerate() {
        let joined = world.membership_at(index, &name, upto).as_deref() == Some("join");
        assert_eq!(folded.joined.contains_key(&room.id), joined, "{name} in {}", room.id);
        let Some(folded) = folded.joined.get(&room.id) else { continue };
        let real = world.state_at(index, upto);
        // who loads members lazily lacks some of them
        for (key, event_id) in real.iter().filter(|(key, _)| !lazy || key.0 != "m.room.member") {
            assert_eq!(folded.state.get(key), Some(event_id), "{key:?} of {} for {name}", room.id);
        }
    }
}

/// A client with full members and unlimited timelines saw everything that happened while it was in a room.
async fn check_last_client(world: &World, harness: &Harness, folded: &mut Folded) {
    let name = user(0);
    let filter = json!({"room": {"timeline": {"limit": 50}}});
    folded.sync(world, &harness.client(1, &name), &filter).await;
    for (index, room) in world.rooms.iter().enumerate() {
        let real = world.state_at(index, i64::MAX);
        assert_eq!(folded.joined[&room.id].state, real, "{}", room.id);
    }
}

async fn run(steps: Vec<Step>, gentle: bool) {
    // a memory of a few events, or one of many
    let tail_bytes = if gentle { 1 << 20 } else { 4_000 };
    let config = Config { tail_bytes, room_cache_bytes: tail_bytes, heartbeat_ms: 20, ..Config::default() };
    let harness = Harness::sqlite(config).await;
    let mut world = harness.world();
    for _ in 0..ROOMS {
        world.create_room(&user(0)).await;
    }
    let mut folded: Vec<Folded> = (0..USERS).map(|_| Folded::default()).collect();
    // user 0 is everywhere and syncs after every step, in full: nothing may be missing
    let mut watcher = Folded::default();
    let all = json!({"room": {"timeline": {"limit": 50}}});
    let watching = harness.client(0, &user(0));
    watcher.sync(&world, &watching, &all).await;
    for step in steps {
        act(&mut world, &harness, &mut folded, step).await;
        watcher.sync(&world, &watching, &all).await;
    }
    check_last_client(&world, &harness, &mut watcher).await;
    let sent: BTreeSet<String> = world.events.iter().map(|event| event.event_id.clone()).collect();
    assert_eq!(watcher.seen, sent, "nothing is missing");
    harness.shutdown.stop();
}

/// Few by default: each one is a database of its own.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(24)
}

/// Those who go, are banned while they are away or before they ever came, and come again.
#[test]
fn what_ended_a_stay_is_told_once() {
    let sync = || Step::Sync { user: 1, replica: 0, limit: 3, only_messages: false };
    let (join, leave, ban) =
        (|| Step::Join { user: 1, room: 1 }, || Step::Leave { user: 1, room: 1 }, || Step::Ban { user: 1, room: 1 });
    let steps = || vec![sync(), ban(), sync(), join(), sync(), leave(), sync(), ban(), sync(), join(), sync()];
    for gentle in [false, true] {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run(steps(), gentle));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_event_once_and_the_true_state(steps in prop::collection::vec(step(), 1..40), gentle in any::<bool>()) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run(steps, gentle));
    }
}
