use std::{
    collections::{HashMap, HashSet},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
};

use matrixon_store::{Db, sql};
use matrixon_testkit::servers::Postgres;
use serde_json::Value;

use super::harness::{Server, on_both};

/// Every event follows the one before it, at the next depth, and the room says so.
async fn assert_chain(db: &Db, room_id: &str) -> Vec<String> {
    let rows = sql!(
        db.read(), fetch_all as (String, String, i64),
        "select e.event_id, e.pdu, e.depth from events e join rooms r on r.id = e.room where r.room_id = $1 order by e.position",
        room_id
    )
    .unwrap();
    let mut previous: Option<String> = None;
    for (index, (event_id, pdu, depth)) in rows.iter().enumerate() {
        let pdu: Value = serde_json::from_str(pdu).unwrap();
        let expected: Vec<Value> = previous.iter().map(|id| Value::from(id.as_str())).collect();
        assert_eq!(pdu["prev_events"], Value::Array(expected), "event {index}");
        assert_eq!(*depth, index as i64 + 1);
        previous = Some(event_id.clone());
    }
    let (extremities,) =
        sql!(db.read(), fetch_one as (String,), "select forward_extremities from rooms where room_id = $1", room_id)
            .unwrap();
    assert_eq!(extremities, format!("[\"{}\"]", previous.unwrap()));
    rows.into_iter().map(|row| row.0).collect()
}

#[test]
fn two_replicas_and_the_same_transactions_make_each_event_once() {
    on_both(|db| async move {
        let (one, other) = (Server::new(&db).await, Server::new(&db).await);
        let mut rooms = Vec::new();
        for _ in 0..3 {
            let room = one.public_room("alice").await;
            one.join("bob", &room).await;
            rooms.push(room);
        }
        let sends = (0..240).map(|number| {
            // each transaction goes to both replicas at once
            let server = if number % 2 == 0 { &one } else { &other };
            let user = if number % 4 < 2 { "alice" } else { "bob" };
            let txn = format!("txn-{}", number / 2);
            let room = &rooms[(number / 4) % rooms.len()];
            async move { (user, txn.clone(), room.clone(), server.send(user, room, &txn, "text").await) }
        });
        let mut ids: HashMap<(&str, String, String), HashSet<String>> = HashMap::new();
        for (user, txn, room, event_id) in futures::future::join_all(sends).await {
            ids.entry((user, txn, room)).or_default().insert(event_id);
        }
        assert_eq!(ids.len(), 120);
        assert!(ids.values().all(|events| events.len() == 1), "a transaction has one event");
        let mut stored = HashSet::new();
        for room in &rooms {
            stored.extend(assert_chain(&db, &room.replace("%21", "!").replace("%3A", ":")).await);
        }
        assert!(ids.values().flatten().all(|event_id| stored.contains(event_id)));
        assert_eq!(stored.len(), 120 + rooms.len() * 7);
        let (positions, last) =
            sql!(db.read(), fetch_one as (i64, i64), "select count(*), cast(max(position) as bigint) from events")
                .unwrap();
        assert_eq!(positions, last, "positions without gaps");
    });
}

#[test]
fn state_and_messages_of_two_replicas_mix() {
    on_both(|db| async move {
        let (one, other) = (Server::new(&db).await, Server::new(&db).await);
        let room = one.public_room("alice").await;
        let work = (0..60).map(|number| {
            let server = if number % 2 == 0 { &one } else { &other };
            let room = &room;
            async move {
                if number % 3 == 0 {
                    server.join(&format!("user{number}"), room).await;
                } else {
                    server.send("alice", room, &number.to_string(), "text").await;
                }
            }
        });
        futures::future::join_all(work).await;
        let events = assert_chain(&db, &room.replace("%21", "!").replace("%3A", ":")).await;
        assert_eq!(events.len(), 6 + 60);
        let (_, joined) = one.get("alice", &format!("rooms/{room}/joined_members")).await;
        assert_eq!(joined["joined"].as_object().unwrap().len(), 21);
    });
}

#[test]
fn nobody_starves_when_replicas_fight_over_a_room() {
    on_both(|db| async move {
        let servers = [Server::new(&db).await, Server::new(&db).await, Server::new(&db).await];
        let room = servers[0].public_room("alice").await;
        let senders = (0..9).map(|sender| {
            let (server, room) = (&servers[sender % 3], &room);
            async move {
                for number in 0..15 {
                    server.send("alice", room, &format!("{sender}-{number}"), &format!("{number}")).await;
                }
            }
        });
        futures::future::join_all(senders).await;
        let events = assert_chain(&db, &room.replace("%21", "!").replace("%3A", ":")).await;
        assert_eq!(events.len(), 6 + 9 * 15);
    });
}

#[test]
fn an_outage_of_the_database_loses_and_doubles_nothing() {
    let postgres = Postgres::start().expect("PostgreSQL starts");
    let url = postgres.create_database("outage").expect("a database");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let db = Db::connect(&matrixon_store::Config { url, ..matrixon_store::Config::default() }).await.unwrap();
        matrixon_store::migrations::migrate(&db).await.unwrap();
        let server = Server::new(&db).await;
        let room = server.public_room("alice").await;
        let (outage, sent, refused) = (AtomicBool::new(false), AtomicU32::new(0), AtomicU32::new(0));
        let senders = (0..8).map(|sender| {
            let (server, room, outage, sent, refused) = (&server, &room, &outage, &sent, &refused);
            async move {
                let mut ids = Vec::new();
                let mut after = 0;
                // some before the outage, some after it, and each until it is acknowledged
                for number in 0.. {
                    let path = format!("rooms/{room}/send/m.room.message/{sender}-{number}");
                    loop {
                        let (status, body) = server.put("alice", &path, serde_json::json!({ "body": "text" })).await;
                        if status == 200 {
                            ids.push(body["event_id"].as_str().unwrap().to_owned());
                            break;
                        }
                        assert_eq!((status, &body["errcode"]), (503, &Value::from("M_UNKNOWN")));
                        refused.fetch_add(1, Ordering::Relaxed);
                        tokio::task::yield_now().await;
                    }
                    sent.fetch_add(1, Ordering::Relaxed);
                    after += usize::from(outage.load(Ordering::Relaxed));
                    if after >= 10 {
                        return ids;
                    }
                }
                ids
            }
        });
        let breaker = async {
            while sent.load(Ordering::Relaxed) < 100 {
                tokio::task::yield_now().await;
            }
            tokio::task::block_in_place(|| postgres.kill().expect("it dies"));
            while refused.load(Ordering::Relaxed) < 8 {
                tokio::task::yield_now().await;
            }
            tokio::task::block_in_place(|| postgres.start_again().expect("it comes back"));
            outage.store(true, Ordering::Relaxed);
        };
        let (ids, ()) = futures::future::join(futures::future::join_all(senders), breaker).await;
        let stored = assert_chain(&db, &room.replace("%21", "!").replace("%3A", ":")).await;
        let acknowledged: HashSet<&String> = ids.iter().flatten().collect();
        assert_eq!(acknowledged.len(), ids.iter().map(Vec::len).sum::<usize>(), "each has an event of its own");
        assert!(acknowledged.iter().all(|event_id| stored.contains(event_id)), "nothing acknowledged is lost");
        assert_eq!(stored.len(), acknowledged.len() + 6, "nothing is doubled");
    });
}
