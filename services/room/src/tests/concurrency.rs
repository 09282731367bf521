use std::collections::{HashMap, HashSet};

use matrixon_store::{Db, sql};
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
