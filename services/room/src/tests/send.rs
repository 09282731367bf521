use matrixon_bus::{Bus, BusEvent};
use matrixon_proto::bus::v1::{Bell, EventItem};
use matrixon_rooms::events;
use prost::Message as _;
use serde_json::json;

use super::harness::{Server, escape, on_both};

#[test]
fn a_transaction_is_sent_once_and_identical_state_is_not_sent_again() {
    on_both(|db| async move {
        let server = Server::new(&db).await;
        let room = server.public_room("alice").await;
        let first = server.send("alice", &room, "t1", "hello").await;
        assert_eq!(server.send("alice", &room, "t1", "hello").await, first);
        let other = Server::new(&db).await;
        assert_eq!(other.send("alice", &room, "t1", "hello").await, first);
        assert_ne!(other.send("alice", &room, "t2", "hello").await, first);

        let path = format!("rooms/{room}/state/m.room.topic/");
        let (_, one) = server.put("alice", &path, json!({ "topic": "a" })).await;
        let (_, again) = other.put("alice", &format!("rooms/{room}/state/m.room.topic"), json!({ "topic": "a" })).await;
        assert_eq!(one, again);
        let (_, changed) = server.put("alice", &path, json!({ "topic": "b" })).await;
        assert_ne!(one, changed);
        let (_, back) = other.put("alice", &path, json!({ "topic": "a" })).await;
        assert_ne!(one, back);
        // the first replica's cached head still says "b"
        let (_, b) = server.put("alice", &path, json!({ "topic": "b" })).await;
        assert_ne!(changed, b);
        let (_, event) = server.get("alice", &format!("rooms/{room}/state/m.room.topic/?format=event")).await;
        assert_eq!(
            (&event["content"]["topic"], &event["unsigned"]["prev_content"]["topic"]),
            (&json!("b"), &json!("a"))
        );
    });
}

#[test]
fn the_rules_and_limits_hold() {
    on_both(|db| async move {
        let server = Server::new(&db).await;
        let room = server.public_room("alice").await;
        let send = |suffix: &str| format!("rooms/{room}/send/m.room.message/{suffix}");
        let state = |suffix: &str| format!("rooms/{room}/state/{suffix}");
        let long = "x".repeat(256);
        for (user, path, body, status, errcode) in [
            ("mallory", send("1"), json!({}), 403, "M_FORBIDDEN"),
            ("alice", "rooms/%21nothere%3Aexample.org/send/m.room.message/1".to_owned(), json!({}), 404, "M_NOT_FOUND"),
            ("alice", "rooms/nothere/send/m.room.message/1".to_owned(), json!({}), 400, "M_INVALID_PARAM"),
            ("alice", send("1"), json!({ "f": 1.5 }), 400, "M_BAD_JSON"),
            ("alice", send("1"), json!({ "i": 9_007_199_254_740_992_i64 }), 400, "M_BAD_JSON"),
            ("alice", send("1"), json!({ "body": "x".repeat(64_500) }), 200, ""),
            ("alice", send("2"), json!({ "body": "x".repeat(65_500) }), 413, "M_TOO_LARGE"),
            ("alice", send("%00"), json!({}), 400, "M_INVALID_PARAM"),
            ("alice", send(&long), json!({}), 400, "M_INVALID_PARAM"),
            ("alice", send("3"), json!({ "body": "nul \u{0} inside" }), 200, ""),
            ("alice", state(&format!("x/{long}")), json!({}), 400, "M_INVALID_PARAM"),
            ("alice", state("m.room.create/"), json!({}), 403, "M_FORBIDDEN"),
            ("alice", state("m.room.power_levels/"), json!({ "users": { "@a:b": "100" } }), 400, "M_BAD_JSON"),
            ("alice", state("m.room.member/%40bob%3Aexample.org"), json!({ "membership": "join" }), 403, "M_FORBIDDEN"),
            ("alice", state("m.room.canonical_alias"), json!({ "alias": "#no:example.org" }), 400, "M_BAD_ALIAS"),
            ("alice", state("m.room.canonical_alias"), json!({ "alt_aliases": ["no"] }), 400, "M_INVALID_PARAM"),
            ("alice", state("m.any/%40bob%3Aexample.org"), json!({}), 403, "M_FORBIDDEN"),
        ] {
            let (got, answer) = server.put(user, &path, body).await;
            assert_eq!(got, status, "{path} {answer}");
            assert_eq!(answer["errcode"].as_str().unwrap_or_default(), errcode, "{path} {answer}");
        }
        // a sender who may no longer send still learns what the first try did
        server.join("bob", &room).await;
        let first = server.send("bob", &room, "t", "before the ban").await;
        let (status, _) =
            server.post("alice", &format!("rooms/{room}/ban"), json!({ "user_id": "@bob:example.org" })).await;
        assert_eq!(status, 200);
        assert_eq!(server.send("bob", &room, "t", "before the ban").await, first);
        let (status, _) = server.put("bob", &send("new"), json!({})).await;
        assert_eq!(status, 403);
    });
}

#[test]
fn a_redaction_empties_the_event() {
    on_both(|db| async move {
        let server = Server::new(&db).await;
        for version in ["10", "12"] {
            let room = server.create("alice", json!({ "preset": "public_chat", "room_version": version })).await;
            server.join("bob", &room).await;
            server.join("carol", &room).await;
            let event = escape(&server.send("bob", &room, "t1", "secret").await);
            let (status, error) = server.put("carol", &format!("rooms/{room}/redact/{event}/r"), json!({})).await;
            assert_eq!((status, &error["errcode"]), (403, &json!("M_FORBIDDEN")));
            let path = format!("rooms/{room}/redact/{event}/r");
            let (status, redaction) = server.put("bob", &path, json!({ "reason": "oops" })).await;
            assert_eq!(status, 200, "{redaction}");
            assert_eq!(server.put("bob", &path, json!({})).await.1, redaction);
            let (_, got) = server.get("carol", &format!("rooms/{room}/event/{event}")).await;
            assert_eq!(got["content"], json!({}));
            assert_eq!(got["unsigned"]["redacted_because"]["content"]["reason"], "oops");
            assert_eq!(got["unsigned"]["redacted_because"]["redacts"], escape_back(&event));
            let (status, _) = server.put("alice", &format!("rooms/{room}/redact/%24unknown/r2"), json!({})).await;
            assert_eq!(status, 404);

            // redacted power levels count at once, on a replica that has them cached
            let other = Server::new(&db).await;
            other.send("bob", &room, "t2", "cached").await;
            let levels = json!({ "users": { "@bob:example.org": 50 }, "own": 1 });
            let levels = if version == "12" {
                levels
            } else {
                json!({ "users": { "@bob:example.org": 50, "@alice:example.org": 100 }, "own": 1 })
            };
            let (status, sent) = server.put("alice", &format!("rooms/{room}/state/m.room.power_levels"), levels).await;
            assert_eq!(status, 200, "{sent}");
            other.send("bob", &room, "t3", "cached").await;
            let target = escape(sent["event_id"].as_str().unwrap());
            let (status, _) = server.put("alice", &format!("rooms/{room}/redact/{target}/r3"), json!({})).await;
            assert_eq!(status, 200);
            let (_, now) = other.get("bob", &format!("rooms/{room}/state/m.room.power_levels")).await;
            assert!(now.get("own").is_none(), "{now}");
            other.send("bob", &room, "t4", "still there").await;
        }
    });
}

fn escape_back(id: &str) -> String {
    id.replace("%24", "$")
}

#[test]
fn the_bell_rings_with_what_was_committed() {
    on_both(|db| async move {
        let bus = Bus::connect(&matrixon_bus::Config::default()).await.unwrap();
        let mut bells = bus.subscribe("matrixon.events.v1");
        assert_eq!(bells.next().await, BusEvent::Reset);
        let server = Server::with_bus(&db, bus);
        let room = server.public_room("alice").await;
        let topic = format!("rooms/{room}/state/m.room.topic/");
        server.put("alice", &topic, json!({ "topic": "a" })).await;
        server.put("alice", &topic, json!({ "topic": "b" })).await;
        server.send("alice", &room, "t1", "hello").await;
        let mut expected = 1;
        let mut items = Vec::new();
        while items.len() < 9 {
            let BusEvent::Message { payload, .. } = bells.next().await else { panic!("no loss here") };
            let bell = Bell::decode(payload).unwrap();
            assert_eq!((bell.stream.as_str(), bell.first), ("events", expected));
            assert_eq!(bell.items.len() as i64, bell.last - bell.first + 1);
            expected = bell.last + 1;
            items.extend(bell.items.into_iter().map(|item| EventItem::decode(item).unwrap()));
        }
        for item in &items {
            let row = events::find_event(&db, &item.event_id).await.unwrap().unwrap();
            assert_eq!(
                (row.position, row.state_after, row.state_before),
                (item.position, item.state_snapshot, item.state_before)
            );
            assert_eq!(row.json.as_bytes(), &item.json[..]);
            assert_eq!(row.replaces.is_some(), item.prev_json.is_some());
            assert_eq!(row.membership.unwrap_or_default(), item.membership);
        }
        let last = items.last().unwrap();
        assert_eq!((last.txn_id.as_str(), last.device_id.as_str()), ("t1", "DEVICE"));
        assert!(items[items.len() - 2].prev_json.is_some());
    });
}
