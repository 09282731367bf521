//! What keys leave behind: stream rows, marks of claims, and what a restore takes back.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use http::Method;
use matrixon_accounts::{device_lists, devices::find_device, one_time_keys::load_key_counts};
use matrixon_bus::BusEvent;
use matrixon_proto::bus::v1::{Bell, DeviceListItem};
use matrixon_store::{
    Db, exec, sql,
    streams::{self, Stream},
};
use prost::Message as _;
use serde_json::{Map, Value, json};

use super::on_both;
use crate::{
    admin,
    store::claims::{self, Claim},
    tests::harness::{Harness, open},
};

const UPLOAD: &str = "/v3/keys/upload";
const CLAIM: &str = "/v3/keys/claim";

/// Keys that are no real ones: nothing has to sign them.
fn device_keys(device_id: &str) -> Value {
    let signing = format!("ed25519:{device_id}");
    json!({ "user_id": "@alice:example.org", "device_id": device_id, "algorithms": [],
            "keys": { signing: "no key" }, "signatures": {} })
}

async fn log_in(server: &Harness, device_id: &str) -> String {
    let reply = server.login("alice", json!({ "device_id": device_id })).await.ok();
    reply["access_token"].as_str().unwrap().to_owned()
}

/// (device, deleted, only told to) of the changes of Alice after a position.
async fn changes(server: &Harness, after: i64) -> Vec<(String, bool, String)> {
    let rows = device_lists::list_changes(&server.db, after, i64::MAX, 100).await.unwrap();
    let positions: Vec<i64> = rows.iter().map(|row| row.position).collect();
    assert_eq!(positions, (after + 1..=after + rows.len() as i64).collect::<Vec<_>>(), "no gap");
    let alice = rows.into_iter().filter(|row| row.user_id == "@alice:example.org");
    alice.map(|row| (row.device_id, row.deleted, row.visible_to)).collect()
}

fn change(device_id: &str, deleted: bool) -> (String, bool, String) {
    (device_id.to_owned(), deleted, String::new())
}

#[tokio::test]
async fn every_change_of_a_device_is_appended() {
    on_both(open(), |server| async move {
        let alice = server.register("alice").await;
        let head = streams::head(&server.db, Stream::DEVICE_LISTS).await.unwrap();
        let mut bell = server.bus.subscribe(&Stream::DEVICE_LISTS.subject());
        assert_eq!(bell.next().await, BusEvent::Reset);
        let phone = log_in(&server, "PHONE").await;
        let BusEvent::Message { payload, .. } = bell.next().await else { panic!("no bell") };
        let rung = Bell::decode(payload).unwrap();
        assert_eq!((rung.first, rung.last), (head + 1, head + 1));
        let item = DeviceListItem::decode(rung.items[0].clone()).unwrap();
        assert_eq!(
            (item.position, item.user_id.as_str(), item.device_id.as_str()),
            (head + 1, "@alice:example.org", "PHONE")
        );
        server.clock.advance(Duration::from_secs(1));
        let phone_again = log_in(&server, "PHONE").await;
        server.authenticate(&phone).await.unwrap_err();
        for _ in 0..2 {
            server.post(UPLOAD, Some(&phone_again), json!({ "device_keys": device_keys("PHONE") })).await.ok();
        }
        server.put("/v3/devices/PHONE", Some(&alice), json!({ "display_name": "phone" })).await.ok();
        server.post(UPLOAD, Some(&phone_again), json!({ "one_time_keys": { "a:1": "x" } })).await.ok();
        log_in(&server, "TABLET").await;
        server.post("/v3/logout", Some(&phone_again), json!({})).await.ok();
        let auth = json!({ "type": "m.login.password", "password": "secret",
                           "identifier": { "type": "m.id.user", "user": "alice" } });
        server
            .post("/v3/delete_devices", Some(&alice), json!({ "devices": ["TABLET", "NONE"], "auth": auth }))
            .await
            .ok();
        log_in(&server, "LAST").await;
        server.post("/v3/logout/all", Some(&alice), json!({})).await.ok();
        let mut seen = changes(&server, head).await;
        let last = seen.split_off(7);
        assert_eq!(
            seen,
            [
                change("PHONE", false), // new, but not when it logs in again
                change("PHONE", false), // keys, but not the same ones again
                change("PHONE", false), // name
                change("TABLET", false),
                change("PHONE", true),
                change("TABLET", true),
                change("LAST", false),
            ]
        );
        assert_eq!(last.len(), 2, "{last:?}");
        assert!(last.contains(&change("LAST", true)) && last.iter().all(|(_, deleted, _)| *deleted));
    })
    .await;
}

#[tokio::test]
async fn a_repeated_claim_gets_the_same_key() {
    on_both(open(), |server| async move {
        let alice = server.register("alice").await;
        let holder = server.authenticate(&alice).await.unwrap();
        server.post(UPLOAD, Some(&alice), json!({ "one_time_keys": { "a:1": "x", "a:2": "y" } })).await.ok();
        let body = json!({ "one_time_keys": { &holder.user_id: { &holder.device_id: "a" } } });
        let claim = |key: &'static str| {
            let (server, alice, body) = (&server, &alice, body.clone());
            async move { server.send_as(Method::POST, CLAIM, Some(alice), body, key).await.ok()["one_time_keys"].clone() }
        };
        let first = claim("one").await;
        assert_eq!(claim("one").await, first);
        let second = claim("two").await;
        assert_ne!(second, first);
        assert_eq!(claim("three").await, json!({}));
        assert_eq!((claim("one").await, claim("two").await), (first, second));
    })
    .await;
}

/// Four devices with few keys and many, and what they still have to give, the oldest first.
async fn devices_with_keys(server: &Harness) -> Vec<(i64, VecDeque<String>)> {
    server.register("alice").await;
    let mut devices = Vec::new();
    for (name, count) in [("NONE", 0), ("ONE", 1), ("FEW", 9), ("MANY", 60)] {
        let token = log_in(server, name).await;
        let ids: VecDeque<String> = (0..count).map(|number| format!("{number:03}")).collect();
        let keys: Map<String, Value> = ids.iter().map(|id| (format!("a:{id}"), json!(name))).collect();
        server.post(UPLOAD, Some(&token), json!({ "one_time_keys": keys })).await.ok();
        let device = find_device(&server.db, "@alice:example.org", name).await.unwrap().unwrap();
        devices.push((device, ids));
    }
    devices
}

#[tokio::test]
async fn claims_that_come_together_get_what_they_would_alone() {
    on_both(open(), |server| async move {
        let mut devices = devices_with_keys(&server).await;
        let mut remembered: HashMap<String, Vec<(i64, String)>> = HashMap::new();
        for _ in 0..40 {
            // of which some arrive again, in the same turn or in a later one
            let requests: Vec<usize> = (0..rand::random_range(1..7)).map(|_| rand::random_range(1..150)).collect();
            let wants = |request: usize, at: usize| request >> at & 1 == 1;
            let claims: Vec<Claim> = requests
                .iter()
                .map(|request| Claim {
                    devices: (0..4).filter(|at| wants(*request, *at)).map(|at| devices[at].0).collect(),
                    algorithm: "a".to_owned(),
                    request: request.to_string(),
                })
                .collect();
            let mut tx = server.db.begin().await.unwrap();
            claims::take_turn(&mut tx).await.unwrap();
            let given = claims::claim_all(&mut tx, &claims.iter().collect::<Vec<_>>(), 1).await.unwrap();
            tx.commit().await.unwrap();

            for ((request, claim), given) in requests.iter().zip(&claims).zip(given) {
                let mut given: Vec<_> = given.into_iter().map(|key| (key.device, key.key_id)).collect();
                given.sort_unstable();
                let expected = remembered.remove(&claim.request).filter(|keys| !keys.is_empty()).unwrap_or_else(|| {
                    let next = |at: usize| Some((devices[at].0, devices[at].1.pop_front()?));
                    (0..4).filter(|at| wants(*request, *at)).filter_map(next).collect()
                });
                assert_eq!(given, expected, "request {request}");
                remembered.insert(claim.request.clone(), expected);
            }
        }
        for (device, left) in devices {
            let counts = load_key_counts(&server.db, device).await.unwrap();
            let counted = counts.one_time_keys.get("a").copied().unwrap_or_default();
            assert_eq!(counted, left.len() as i64, "device {device}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_restored_database_gives_no_key_again() {
    on_both(open(), |server| async move {
        let alice = server.register("alice").await;
        let holder = server.authenticate(&alice).await.unwrap();
        let body = json!({ "one_time_keys": { &holder.user_id: { &holder.device_id: "a" } } });
        let keys = json!({ "one_time_keys": { "a:1": "x", "a:2": "y", "a:3": "z" }, "fallback_keys": { "a:f": "z" } });
        server.post(UPLOAD, Some(&alice), keys).await.ok();
        server.post(CLAIM, Some(&alice), body.clone()).await.ok();
        let device = find_device(&server.db, &holder.user_id, &holder.device_id).await;
        let device = device.unwrap().unwrap();
        assert_eq!(load_key_counts(&server.db, device).await.unwrap().unused_fallback_keys, ["a"]);
        let done = admin::after_restore(&server.db).await.unwrap();
        assert_eq!((done.one_time_keys, done.fallback_keys), (2, 1));
        assert_eq!(admin::after_restore(&server.db).await.unwrap(), admin::Invalidated::default());
        let rows = "select (select count(*) from key_grants) + (select count(*) from queued_keys)";
        assert_eq!(sql!(server.db.read(), fetch_one as (i64,), rows).unwrap(), (0,));
        let counts = load_key_counts(&server.db, device).await.unwrap();
        assert_eq!(counts.one_time_keys.values().sum::<i64>(), 0);
        assert_eq!(counts.unused_fallback_keys, Vec::<String>::new());
        let given = server.post(CLAIM, Some(&alice), body).await.ok();
        assert_eq!(given["one_time_keys"][&holder.user_id][&holder.device_id], json!({ "a:f": "z" }));
        server.post(UPLOAD, Some(&alice), json!({ "fallback_keys": { "a:g": "new" } })).await.ok();
        assert_eq!(load_key_counts(&server.db, device).await.unwrap().unused_fallback_keys, ["a"]);
    })
    .await;
}

#[tokio::test]
async fn what_is_old_is_pruned() {
    on_both(open(), |mut server| async move {
        let alice = server.register("alice").await;
        let holder = server.authenticate(&alice).await.unwrap();
        server.post(UPLOAD, Some(&alice), json!({ "one_time_keys": { "a:1": "x", "a:2": "y" } })).await.ok();
        for name in ["one", "two", "three"] {
            let path = format!("/v3/devices/{}", holder.device_id);
            server.put(&path, Some(&alice), json!({ "display_name": name })).await.ok();
        }
        let body = json!({ "one_time_keys": { &holder.user_id: { &holder.device_id: "a" } } });
        server.post(CLAIM, Some(&alice), body).await.ok();
        let version = json!({ "algorithm": "x", "auth_data": {} });
        server.post("/v3/room_keys/version", Some(&alice), version.clone()).await.ok();
        let session =
            json!({ "first_message_index": 0, "forwarded_count": 0, "is_verified": true, "session_data": {} });
        server.put("/v3/room_keys/keys/!a:b/s?version=1", Some(&alice), session).await.ok();
        server.send(Method::DELETE, "/v3/room_keys/version/1", Some(&alice), Value::Null).await.ok();
        server.post("/v3/room_keys/version", Some(&alice), version).await.ok();
        let before = device_lists::list_changes(&server.db, 0, i64::MAX, 100).await.unwrap();
        assert!(before.len() > 3);
        server.clock.advance(Duration::from_hours(31 * 24));
        // a process prunes when it starts
        server.restart(|_| {}).await;
        let last = before.last().unwrap().clone();
        let pruned = async {
            while device_lists::list_changes(&server.db, 0, i64::MAX, 100).await.unwrap() != [last.clone()] {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), pruned).await.unwrap();
        // the claimed key is gone, the other one waits
        let list = async || sql!(server.db.read(), fetch_all as (String,), "select key_id from queued_keys").unwrap();
        let gone = async {
            while list().await != [("2".to_owned(),)] {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), gone).await.unwrap();
        // the ids are forgotten too, so the claimed key would be taken again; the waiting one is not doubled
        let again = async {
            let keys = json!({ "one_time_keys": { "a:1": "x", "a:2": "y", "a:3": "z" } });
            while server.post(UPLOAD, Some(&alice), keys.clone()).await.ok()["one_time_key_counts"]["a"] != 3 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), again).await.unwrap();
    })
    .await;
}

/// What a version without queues wrote.
async fn insert_earlier_key(db: &Db, device: i64, key_id: &str) {
    let query = "insert into one_time_keys (device, algorithm, key_id, json) values ($1, 'a', $2, $3)";
    exec!(db.write(), query, device, key_id, format!("\"{key_id}\"")).unwrap();
}

#[tokio::test]
async fn keys_of_an_earlier_version_are_adopted() {
    on_both(open(), |mut server| async move {
        let mut tokens = Vec::new();
        for name in ["alice", "bob"] {
            tokens.push(server.register(name).await);
        }
        let alice = server.authenticate(&tokens[0]).await.unwrap();
        let bob = server.authenticate(&tokens[1]).await.unwrap();
        let mut devices = Vec::new();
        for holder in [&alice, &bob] {
            let found = matrixon_accounts::devices::find_device(&server.db, &holder.user_id, &holder.device_id).await;
            devices.push(found.unwrap().unwrap());
        }
        server.post(UPLOAD, Some(&tokens[0]), json!({ "one_time_keys": { "a:1": "1", "b:1": "1" } })).await.ok();
        for key_id in ["2", "3"] {
            insert_earlier_key(&server.db, devices[0], key_id).await;
            insert_earlier_key(&server.db, devices[1], key_id).await;
        }
        // a process looks for them when it starts
        server.restart(|_| {}).await;
        let adopted = async {
            while load_key_counts(&server.db, devices[1]).await.unwrap().one_time_keys.get("a") != Some(&2) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), adopted).await.unwrap();
        let counts = load_key_counts(&server.db, devices[0]).await.unwrap().one_time_keys;
        assert_eq!((counts["a"], counts["b"]), (3, 1));
        let body = json!({ "one_time_keys": {
            &alice.user_id: { &alice.device_id: "a" }, &bob.user_id: { &bob.device_id: "a" } } });
        let mut given = Vec::new();
        for _ in 0..4 {
            let answer = server.post(CLAIM, Some(&tokens[0]), body.clone()).await.ok();
            let keys = &answer["one_time_keys"];
            given.push((keys[&alice.user_id][&alice.device_id].clone(), keys[&bob.user_id][&bob.device_id].clone()));
        }
        let key = |id: &str| json!({ format!("a:{id}"): id });
        let expected =
            [(key("1"), key("2")), (key("2"), key("3")), (key("3"), Value::Null), (Value::Null, Value::Null)];
        assert_eq!(given, expected);
    })
    .await;
}
