use serde_json::json;

use super::harness::{Server, escape, on_both};

fn bodies(chunk: &serde_json::Value) -> Vec<String> {
    let events = chunk.as_array().expect("a chunk").iter();
    events.filter_map(|event| event["content"]["body"].as_str()).map(str::to_owned).collect()
}

#[test]
fn pages_meet_without_gap_or_overlap() {
    on_both(|db| async move {
        let server = Server::new(&db).await;
        let room = server.public_room("alice").await;
        let other = server.public_room("alice").await;
        let expected: Vec<String> = (0..25).map(|number| number.to_string()).collect();
        for number in &expected {
            server.send("alice", &room, number, number).await;
            server.send("alice", &other, number, "elsewhere").await;
        }
        for (direction, limit) in [("f", 4), ("b", 4), ("f", 1), ("b", 100)] {
            let (mut seen, mut from) = (Vec::new(), String::new());
            loop {
                let path = format!("rooms/{room}/messages?dir={direction}&limit={limit}{from}");
                let (status, page) = server.get("alice", &path).await;
                assert_eq!(status, 200, "{page}");
                seen.extend(bodies(&page["chunk"]));
                let Some(end) = page["end"].as_str() else { break };
                from = format!("&from={end}");
            }
            if direction == "b" {
                seen.reverse();
            }
            assert_eq!(seen, expected, "{direction} {limit}");
        }
        // tokens of /sync name the same places
        let (_, page) = server.get("alice", &format!("rooms/{room}/messages?dir=b&limit=3")).await;
        let place = page["start"].as_str().unwrap().trim_start_matches('p').to_owned();
        let (_, same) = server.get("alice", &format!("rooms/{room}/messages?dir=b&limit=3&from=m1_{place}_0_0")).await;
        assert_eq!(bodies(&same["chunk"]), bodies(&page["chunk"]));
        let bad = server.get("alice", &format!("rooms/{room}/messages?dir=b&from=nonsense")).await;
        assert_eq!((bad.0, &bad.1["errcode"]), (400, &json!("M_INVALID_PARAM")));
        let filter = "%7B%22types%22%3A%5B%22m.room.create%22%5D%2C%22lazy_load_members%22%3Atrue%7D";
        let (_, only) = server.get("alice", &format!("rooms/{room}/messages?dir=b&filter={filter}")).await;
        assert_eq!(only["chunk"].as_array().unwrap().len(), 1);
        assert_eq!(only["state"][0]["state_key"], "@alice:example.org");
    });
}

#[test]
fn history_is_visible_to_whom_it_shall_be() {
    on_both(|db| async move {
        let server = Server::new(&db).await;
        for (visibility, before) in [("shared", true), ("world_readable", true), ("joined", false), ("invited", false)]
        {
            let initial =
                json!([{ "type": "m.room.history_visibility", "content": { "history_visibility": visibility } }]);
            let room = server.create("alice", json!({ "preset": "public_chat", "initial_state": initial })).await;
            let early = escape(&server.send("alice", &room, "1", "early").await);
            let outside = server.get("bob", &format!("rooms/{room}/messages?dir=b")).await.0;
            assert_eq!(outside, if visibility == "world_readable" { 200 } else { 403 });
            server.join("bob", &room).await;
            server.send("alice", &room, "2", "meanwhile").await;
            assert_eq!(
                server.get("bob", &format!("rooms/{room}/event/{early}")).await.0,
                if before { 200 } else { 404 }
            );
            server.post("bob", &format!("rooms/{room}/leave"), json!({})).await;
            let late = escape(&server.send("alice", &room, "3", "late").await);
            server.put("alice", &format!("rooms/{room}/state/m.room.topic"), json!({ "topic": "later" })).await;
            let seen = server.timeline("bob", &room).await;
            let texts: Vec<_> = seen.iter().filter_map(|event| event["content"]["body"].as_str()).collect();
            let world = visibility == "world_readable";
            let mut expected = if before { vec!["early", "meanwhile"] } else { vec!["meanwhile"] };
            if world {
                expected.push("late");
            }
            assert_eq!(texts, expected, "{visibility}");
            assert_eq!(server.get("bob", &format!("rooms/{room}/event/{late}")).await.0, if world { 200 } else { 404 });
            assert_eq!(
                server.get("bob", &format!("rooms/{room}/context/{late}")).await.0,
                if world { 200 } else { 403 }
            );
            // state is what it was when bob left
            let (status, _) = server.get("bob", &format!("rooms/{room}/state/m.room.topic")).await;
            assert_eq!(status, if world { 200 } else { 404 });
            let (_, state) = server.get("bob", &format!("rooms/{room}/state")).await;
            assert_eq!(state.as_array().unwrap().iter().any(|event| event["type"] == "m.room.topic"), world);
        }
    });
}

#[test]
fn members_context_and_single_events() {
    on_both(|db| async move {
        let server = Server::new(&db).await;
        let room = server.public_room("alice").await;
        server.join("bob", &room).await;
        let ids = [
            server.send("alice", &room, "1", "one").await,
            server.send("bob", &room, "2", "two").await,
            server.send("alice", &room, "3", "three").await,
        ];
        let (_, page) = server.get("alice", &format!("rooms/{room}/messages?dir=b&limit=1")).await;
        let at = page["start"].as_str().unwrap().to_owned();
        server.join("carol", &room).await;
        server.post("bob", &format!("rooms/{room}/leave"), json!({})).await;

        let members = |query: &str| {
            let path = format!("rooms/{room}/members{query}");
            let server = &server;
            async move {
                let (_, body) = server.get("alice", &path).await;
                let events = body["chunk"].as_array().unwrap().clone();
                let mut names: Vec<_> =
                    events.iter().map(|event| event["state_key"].as_str().unwrap()[1..4].to_owned()).collect();
                names.sort();
                names
            }
        };
        assert_eq!(members("").await, ["ali", "bob", "car"]);
        assert_eq!(members("?membership=join").await, ["ali", "car"]);
        assert_eq!(members("?not_membership=join").await, ["bob"]);
        assert_eq!(members(&format!("?at={at}&membership=join")).await, ["ali", "bob"]);
        let (_, joined) = server.get("alice", &format!("rooms/{room}/joined_members")).await;
        assert_eq!(joined["joined"], json!({ "@alice:example.org": {}, "@carol:example.org": {} }));
        assert_eq!(server.get("bob", &format!("rooms/{room}/joined_members")).await.0, 403);

        let (_, context) = server.get("alice", &format!("rooms/{room}/context/{}?limit=2", escape(&ids[1]))).await;
        assert_eq!(bodies(&context["events_before"]), ["one"]);
        assert_eq!(context["event"]["content"]["body"], "two");
        assert_eq!(bodies(&context["events_after"]), ["three"]);
        assert!(context["state"].as_array().unwrap().len() >= 7);
        for (token, direction, next) in [("start", "b", "m.room.member"), ("end", "f", "m.room.member")] {
            let from = context[token].as_str().unwrap();
            let (_, page) =
                server.get("alice", &format!("rooms/{room}/messages?dir={direction}&from={from}&limit=1")).await;
            assert_eq!(page["chunk"][0]["type"], next);
        }
        let (_, event) = server.get("alice", &format!("rooms/{room}/event/{}", escape(&ids[0]))).await;
        assert_eq!(
            (&event["unsigned"]["transaction_id"], &event["unsigned"]["membership"]),
            (&json!("1"), &json!("join"))
        );
        let (_, event) = server.get("carol", &format!("rooms/{room}/event/{}", escape(&ids[0]))).await;
        assert_eq!(
            (event["unsigned"].get("transaction_id"), &event["unsigned"]["membership"]),
            (None, &json!("leave"))
        );
    });
}
