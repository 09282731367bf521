//! Random comings and goings against the plain definition: `changed` and `left` are exact between any two tokens, from
//! memory or from SQL, whatever bells get lost.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Harness, World, harness::escape, on_both, world::user};
use crate::{Config, token::Token};

const USERS: usize = 4;
const ROOMS: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Join { user: usize, room: usize },
    Leave { user: usize, room: usize },
    Name { user: usize, room: usize },
    Encrypt { room: usize },
    Device { user: usize },
    Signature { user: usize, other: usize },
    Bells { ring: bool },
    Sync { user: usize, replica: usize },
    Changes { user: usize, replica: usize, from: prop::sample::Index, to: prop::sample::Index },
}

fn step() -> impl Strategy<Value = Step> {
    let (users, rooms) = (0..USERS, 0..ROOMS);
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => (users.clone(), rooms.clone()).prop_map(|(user, room)| Step::Join { user, room }),
        3 => (users.clone(), rooms.clone()).prop_map(|(user, room)| Step::Leave { user, room }),
        1 => (users.clone(), rooms.clone()).prop_map(|(user, room)| Step::Name { user, room }),
        1 => rooms.prop_map(|room| Step::Encrypt { room }),
        2 => users.clone().prop_map(|user| Step::Device { user }),
        1 => (users.clone(), users.clone()).prop_map(|(user, other)| Step::Signature { user, other }),
        1 => any::<bool>().prop_map(|ring| Step::Bells { ring }),
        6 => (users.clone(), 0..2_usize).prop_map(|(user, replica)| Step::Sync { user, replica }),
        1 => (users, 0..2_usize, index(), index())
            .prop_map(|(user, replica, from, to)| Step::Changes { user, replica, from, to }),
    ]
}

/// What has happened, as the definition needs it.
struct History {
    world: World,
    /// (position, user, whom alone it may be told)
    devices: Vec<(i64, String, String)>,
    /// (position, room)
    encrypted: Vec<(i64, usize)>,
}

impl History {
    fn is_in(&self, room: usize, name: &str, position: i64) -> bool {
        self.world.membership_at(room, name, position).as_deref() == Some("join")
    }

    fn shares(&self, a: &str, b: &str, position: i64) -> bool {
        (0..ROOMS).any(|room| self.is_in(room, a, position) && self.is_in(room, b, position))
    }

    /// `changed` and `left` between two tokens; sharing counts at `now` for those whose devices changed.
    fn expected(&self, viewer: &str, from: Token, to: Token, now: i64) -> (BTreeSet<String>, BTreeSet<String>) {
        let (mut changed, mut left) = (BTreeSet::new(), BTreeSet::new());
        for (position, name, visible_to) in &self.devices {
            let in_time = *position > from.device_lists && *position <= to.device_lists;
            let visible = visible_to.is_empty() || visible_to == viewer;
            if in_time && visible && (name == viewer || self.shares(viewer, name, now)) {
                changed.insert(name.clone());
            }
        }
        for name in (0..USERS).map(user).filter(|name| name != viewer) {
            match (self.shares(viewer, &name, from.events), self.shares(viewer, &name, to.events)) {
                (false, true) => drop(changed.insert(name)),
                (true, false) => drop(left.insert(name)),
                _ => {}
            }
        }
        for (position, room) in &self.encrypted {
            let steady = self.is_in(*room, viewer, from.events) && self.is_in(*room, viewer, to.events);
            if *position > from.events && *position <= to.events && steady {
                changed.extend((0..USERS).map(user).filter(|name| self.is_in(*room, name, now)));
            }
        }
        (changed, left)
    }
}

fn names(list: &Value) -> BTreeSet<String> {
    list.as_array().into_iter().flatten().map(|name| name.as_str().unwrap().to_owned()).collect()
}

async fn act(history: &mut History, harness: &Harness, tokens: &mut [Vec<String>], step: Step) {
    let is_in = |history: &History, room, name: &str| history.is_in(room, name, i64::MAX);
    match step {
        Step::Join { user: number, room } if !is_in(history, room, &user(number)) => {
            history.world.member(room, &user(number), &user(number), "join").await;
        }
        Step::Leave { user: number, room } if is_in(history, room, &user(number)) => {
            history.world.member(room, &user(number), &user(number), "leave").await;
        }
        Step::Name { user: number, room } if is_in(history, room, &user(number)) => {
            let content = json!({"membership": "join", "displayname": history.world.events.len()});
            history.world.state(room, &user(number), "m.room.member", &user(number), content).await;
        }
        Step::Encrypt { room } => {
            let known = history.encrypted.iter().any(|(_, encrypted)| *encrypted == room);
            let content = json!({"algorithm": "m.megolm.v1.aes-sha2"});
            history.world.state(room, &user(0), "m.room.encryption", "", content).await;
            if !known {
                let position = history.world.events.last().unwrap().position;
                history.encrypted.push((position, room));
            }
        }
        Step::Device { user: number } => {
            let position = history.world.change_device(&user(number), "").await;
            history.devices.push((position, user(number), String::new()));
        }
        Step::Signature { user: number, other } => {
            let position = history.world.change_device(&user(other), &user(number)).await;
            history.devices.push((position, user(other), user(number)));
        }
        Step::Bells { ring } => history.world.rings = ring,
        Step::Sync { user: number, replica } => {
            let client = harness.client(replica, &user(number));
            let Some(since) = tokens[number].last() else {
                let response = client.sync(&[]).await;
                assert!(response["device_lists"].is_null(), "{response}");
                return tokens[number].push(response["next_batch"].as_str().unwrap().to_owned());
            };
            let response = client.sync(&[("since", since)]).await;
            let next = response["next_batch"].as_str().unwrap().to_owned();
            let (from, to): (Token, Token) = (since.parse().unwrap(), next.parse().unwrap());
            let lists = (names(&response["device_lists"]["changed"]), names(&response["device_lists"]["left"]));
            assert_eq!(lists, history.expected(&user(number), from, to, i64::MAX), "{from} {to}");
            assert_eq!(to.device_lists, history.devices.last().map_or(0, |change| change.0), "a sync sees everything");
            tokens[number].push(next);
        }
        Step::Changes { user: number, replica, from, to } if !tokens[number].is_empty() => {
            let (from, to) = (from.get(&tokens[number]), to.get(&tokens[number]));
            let path = format!("/_matrix/client/v3/keys/changes?from={}&to={}", escape(from), escape(to));
            let response = harness.client(replica, &user(number)).get(&path).await.ok();
            let (from, to): (Token, Token) = (from.parse().unwrap(), to.parse().unwrap());
            if from.events <= to.events && from.device_lists <= to.device_lists {
                let lists = (names(&response["changed"]), names(&response["left"]));
                assert_eq!(lists, history.expected(&user(number), from, to, i64::MAX), "{from} {to}");
            }
        }
        _ => {}
    }
}

async fn run(steps: Vec<Step>, gentle: bool) {
    // a memory of a few moves, or one of many
    let tail_bytes = if gentle { 1 << 20 } else { 4_000 };
    let config = Config { tail_bytes, room_cache_bytes: tail_bytes, heartbeat_ms: 20, ..Config::default() };
    let harness = Harness::sqlite(config).await;
    let mut world = harness.world();
    for room in 0..ROOMS {
        world.create_room(&user(room)).await;
    }
    let mut history = History { world, devices: Vec::new(), encrypted: Vec::new() };
    let mut tokens = vec![Vec::new(); USERS];
    for step in steps {
        act(&mut history, &harness, &mut tokens, step).await;
    }
    harness.shutdown.stop();
}

fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(32)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_and_left_are_exact(steps in prop::collection::vec(step(), 1..40), gentle in any::<bool>()) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run(steps, gentle));
    }
}

#[tokio::test]
async fn whoever_shares_a_room_is_woken() {
    let on_each = |mut harness: Harness| async move {
        let mut world = harness.world();
        let room = world.create_room(&user(0)).await;
        world.member(room, &user(1), &user(1), "join").await;
        let deaf = harness.add_deaf_replica().await;
        for replica in [0, deaf] {
            let client = harness.client(replica, &user(0));
            let since = client.sync(&[]).await["next_batch"].as_str().unwrap().to_owned();
            let waiting = tokio::spawn(async move { client.sync(&[("since", &since), ("timeout", "20000")]).await });
            // somebody nobody here has heard of, and somebody in the room, who is not online here either
            world.change_device(&user(3), "").await;
            world.change_device(&user(1), "").await;
            let response = waiting.await.unwrap();
            assert_eq!(response["device_lists"], json!({"changed": [user(1)], "left": []}), "{response}");
        }
        harness.shutdown.stop();
    };
    on_both(Config { heartbeat_ms: 20, ..Config::default() }, on_each).await;
}

#[tokio::test]
async fn changes_between_any_two_tokens() {
    let on_each = |harness: Harness| async move {
        let mut world = harness.world();
        let room = world.create_room(&user(0)).await;
        let client = harness.client(0, &user(0));
        let token = || async { client.sync(&[]).await["next_batch"].as_str().unwrap().to_owned() };
        let first = token().await;
        world.member(room, &user(1), &user(1), "join").await;
        let second = token().await;
        world.member(room, &user(1), &user(1), "leave").await;
        let third = token().await;
        let changes = |from: String, to: String| {
            let client = harness.client(1, &user(0));
            async move { client.get(&format!("/_matrix/client/v3/keys/changes?from={from}&to={to}")).await.ok() }
        };
        let only = |changed: &[usize], left: &[usize]| {
            let names = |list: &[usize]| list.iter().map(|number| user(*number)).collect::<Vec<_>>();
            json!({"changed": names(changed), "left": names(left)})
        };
        assert_eq!(changes(first.clone(), second.clone()).await, only(&[1], &[]));
        assert_eq!(changes(second.clone(), third.clone()).await, only(&[], &[1]));
        assert_eq!(changes(first.clone(), third.clone()).await, only(&[], &[]));
        for (from, to) in [("x", &*third), (&*first, "m1_"), ("m1_99_0_0_0", &*third)] {
            let path = format!("/_matrix/client/v3/keys/changes?from={from}&to={to}");
            client.get(&path).await.refused(400, "M_INVALID_PARAM");
        }
        // a `to` of the future is a hint and no more
        assert_eq!(changes(second, "m1_99999_0_0_0_0_99999".to_owned()).await, only(&[], &[1]));
        harness.shutdown.stop();
    };
    on_both(Config::default(), on_each).await;
}
