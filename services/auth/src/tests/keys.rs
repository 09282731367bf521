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
    store::claims::{self, Claim, Queues},
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

/// A claim as replicas of schema 43 make it.
const EARLIER_CLAIM: &str = "with moved as (
         update key_queues q set next = q.next + 1
         where q.device in (select json_array_elements_text($1::json)::bigint) and q.algorithm = 'a' and q.next < q.ends
           and not exists (select 1 from key_grants where request = $2 and algorithm = 'a')
         returning q.device, q.id as queue, q.next - 1 as number
     ), granted as (
         insert into key_grants (request, algorithm, given, created_ts)
         select $2, 'a', '[' || string_agg('[' || queue || ',' || number || ']', ',') || ']', 1
         from moved having count(*) > 0
     )
     select m.device, k.key_id
     from moved m cross join lateral (
         select * from queued_keys k where k.queue = m.queue and k.number = m.number offset 0) k
     order by 1";

/// A device and what it still has to give, the oldest first.
struct Holder {
    token: String,
    name: &'static str,
    device: i64,
    left: VecDeque<String>,
    uploaded: usize,
}

impl Holder {
    async fn upload(&mut self, server: &Harness, count: usize) {
        let ids: Vec<String> = (self.uploaded..self.uploaded + count).map(|number| format!("{number:04}")).collect();
        let keys: Map<String, Value> = ids.iter().map(|id| (format!("a:{id}"), json!(self.name))).collect();
        let reply = server.post(UPLOAD, Some(&self.token), json!({ "one_time_keys": keys })).await.ok();
        self.uploaded += count;
        self.left.extend(ids);
        assert_eq!(reply["one_time_key_counts"]["a"].as_u64().unwrap_or_default(), self.left.len() as u64);
    }
}

/// Four devices with few keys and many.
async fn holders(server: &Harness) -> Vec<Holder> {
    server.register("alice").await;
    let mut holders = Vec::new();
    for (name, count) in [("NONE", 0), ("ONE", 1), ("FEW", 9), ("MANY", 60)] {
        let token = log_in(server, name).await;
        let device = find_device(&server.db, "@alice:example.org", name).await.unwrap().unwrap();
        let mut holder = Holder { token, name, device, left: VecDeque::new(), uploaded: 0 };
        holder.upload(server, count).await;
        holders.push(holder);
    }
    holders
}

/// What claims have given, and must give.
struct Ledger {
    holders: Vec<Holder>,
    remembered: HashMap<String, Vec<(i64, String)>>,
}

impl Ledger {
    /// Which devices a request is for, in its bits.
    fn wanted(&self, request: usize) -> Vec<i64> {
        let wanted = self.holders.iter().enumerate().filter(|(at, _)| request >> at & 1 == 1);
        wanted.map(|(_, holder)| holder.device).collect()
    }

    fn expect(&mut self, request: &str, devices: &[i64]) -> Vec<(i64, String)> {
        if let Some(given) = self.remembered.get(request).filter(|given| !given.is_empty()) {
            return given.clone();
        }
        let wanted = self.holders.iter_mut().filter(|holder| devices.contains(&holder.device));
        let given: Vec<_> = wanted.filter_map(|holder| Some((holder.device, holder.left.pop_front()?))).collect();
        self.remembered.insert(request.to_owned(), given.clone());
        given
    }

    /// Claims in one transaction, of which some arrive again, in the same turn or in a later one.
    async fn claim(&mut self, server: &Harness, queues: &mut Queues, commit: bool) {
        let claim = |request: usize| Claim {
            devices: self.wanted(request),
            algorithm: "a".to_owned(),
            request: request.to_string(),
        };
        let claims: Vec<Claim> = (0..rand::random_range(1..7)).map(|_| claim(rand::random_range(1..600))).collect();
        let mut tx = server.db.begin().await.unwrap();
        claims::take_turn(&mut tx).await.unwrap();
        let all = claims::claim_all(&mut tx, queues, &claims, 1).await.unwrap();
        if !commit {
            return tx.rollback().await.unwrap();
        }
        tx.commit().await.unwrap();
        queues.commit();
        for (claim, given) in claims.iter().zip(all) {
            let mut given: Vec<_> = given.keys.into_iter().map(|key| (key.device, key.key_id)).collect();
            given.sort_unstable();
            assert_eq!(given, self.expect(&claim.request, &claim.devices), "request {}", claim.request);
        }
    }

    /// While a cluster is upgraded.
    async fn claim_as_earlier(&mut self, server: &Harness, request: usize) {
        if !server.db.is_postgres() {
            return;
        }
        let (devices, name) = (self.wanted(request), format!("earlier {request}"));
        let mut tx = server.db.begin().await.unwrap();
        claims::take_turn(&mut tx).await.unwrap();
        let list = json!(devices).to_string();
        let given = sql!(tx.ex(), fetch_all as (i64, String), EARLIER_CLAIM, list, name.as_str()).unwrap();
        tx.commit().await.unwrap();
        if self.remembered.get(&name).is_none_or(Vec::is_empty) {
            assert_eq!(given, self.expect(&name, &devices), "request {name}");
        }
    }

    async fn check_counts(&self, server: &Harness) {
        for holder in &self.holders {
            let counts = load_key_counts(&server.db, holder.device).await.unwrap();
            let counted = counts.one_time_keys.get("a").copied().unwrap_or_default();
            assert_eq!(counted, holder.left.len() as i64, "{}", holder.name);
        }
    }
}

async fn read_ahead(server: &Harness, queues: &mut Queues) {
    let ranges = queues.list_worn();
    for (queue, number, key) in claims::log::read_ahead(&server.db, &ranges).await.unwrap() {
        queues.insert_key(queue, number, key);
    }
}

/// Of two replicas and one of an earlier version, whose claims come together, again, or to nothing, while queues follow the log
/// and devices upload.
#[tokio::test]
async fn claims_get_what_they_would_one_by_one() {
    on_both(open(), |server| async move {
        let mut ledger = Ledger { holders: holders(&server).await, remembered: HashMap::new() };
        let mut replicas = [Queues::default(), Queues::default()];
        for _ in 0..250 {
            let queues = &mut replicas[rand::random_range(0..2)];
            match rand::random_range(0..12) {
                0 => claims::log::fold(&server.db).await.unwrap(),
                1 => ledger.claim(&server, queues, false).await,
                2 => *queues = Queues::default(),
                3 | 4 => ledger.claim_as_earlier(&server, rand::random_range(1..600)).await,
                5 => {
                    let holder = rand::random_range(1..4);
                    ledger.holders[holder].upload(&server, rand::random_range(1..9)).await;
                }
                6 | 7 => read_ahead(&server, queues).await,
                _ => ledger.claim(&server, queues, true).await,
            }
            ledger.check_counts(&server).await;
        }
        for holder in &ledger.holders[1..] {
            assert!(holder.left.len() < holder.uploaded, "{}", holder.name);
        }
    })
    .await;
}

/// The end of the log that a process knows is gone: pruned, or with the database as it was before a restore.
#[tokio::test]
async fn a_log_that_does_not_go_on_is_read_anew() {
    on_both(open(), |server| async move {
        let ledger = Ledger { holders: holders(&server).await, remembered: HashMap::new() };
        let devices = ledger.wanted(0b1000);
        let mut queues = Queues::default();
        let mut given = Vec::new();
        for request in ["one", "two", "three", "four"] {
            if request == "four" {
                // in the place of our last claim there is now somebody else's
                let query = "update key_grants set request = 'other', given = replace(given, ',2]', ',30]') where request = 'three'";
                assert_eq!(exec!(server.db.write(), query).unwrap(), 1);
            }
            let claim = Claim { devices: devices.clone(), algorithm: "a".to_owned(), request: request.to_owned() };
            let mut tx = server.db.begin().await.unwrap();
            claims::take_turn(&mut tx).await.unwrap();
            let all = claims::claim_all(&mut tx, &mut queues, &[claim], 1).await.unwrap();
            tx.commit().await.unwrap();
            queues.commit();
            given.extend(all.into_iter().flat_map(|taken| taken.keys).map(|key| key.key_id));
        }
        let last = if server.db.is_postgres() { "0031" } else { "0003" };
        assert_eq!(given, ["0000", "0001", "0002", last]);
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
