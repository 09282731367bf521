use serde_json::{Value, json};

use super::harness::{Server, escape, on_both};

fn state_of<'a>(state: &'a Value, event_type: &str) -> &'a Value {
    let mut events = state.as_array().expect("state").iter();
    events.find(|event| event["type"] == event_type).map_or(&Value::Null, |event| &event["content"])
}

#[test]
fn a_room_of_each_version_has_what_was_asked_for() {
    on_both(|db| async move {
        let server = Server::new(&db).await;
        for version in ["10", "11", "12"] {
            let alias = format!("room{version}");
            let room = server
                .create("alice", json!({
                    "room_version": version, "preset": "public_chat", "name": "Name", "topic": "Topic",
                    "room_alias_name": alias, "invite": ["@bob:example.org"], "is_direct": true, "visibility": "public",
                    "creation_content": { "m.federate": false, "type": "m.space", "own": { "n": 1 } },
                    "initial_state": [{ "type": "m.room.guest_access", "content": { "guest_access": "can_join" } }],
                    "power_level_content_override": { "events_default": 7 },
                }))
                .await;
            assert_eq!(room.contains("%3A"), version != "12", "{room}");
            let (_, state) = server.get("alice", &format!("rooms/{room}/state")).await;
            let create = state_of(&state, "m.room.create");
            assert_eq!(create["room_version"], version);
            assert_eq!(create["own"]["n"], 1);
            assert_eq!(create.get("creator").is_some(), version == "10");
            let levels = state_of(&state, "m.room.power_levels");
            assert_eq!(levels["events_default"], 7);
            assert_eq!(levels["users"]["@alice:example.org"], if version == "12" { Value::Null } else { json!(100) });
            assert_eq!(state_of(&state, "m.room.guest_access")["guest_access"], "can_join");
            assert_eq!(state_of(&state, "m.room.join_rules")["join_rule"], "public");
            assert_eq!(state_of(&state, "m.room.name")["name"], "Name");
            assert_eq!(state_of(&state, "m.room.topic")["topic"], "Topic");
            assert_eq!(state_of(&state, "m.room.canonical_alias")["alias"], format!("#{alias}:example.org"));
            let members = state.as_array().unwrap().iter().filter(|event| event["type"] == "m.room.member");
            let invite = members.clone().find(|event| event["state_key"] == "@bob:example.org").unwrap();
            assert_eq!(
                (&invite["content"]["membership"], &invite["content"]["is_direct"]),
                (&json!("invite"), &json!(true))
            );

            let (status, found) =
                server.get("", &format!("directory/room/{}", escape(&format!("#{alias}:example.org")))).await;
            assert_eq!((status, escape(found["room_id"].as_str().unwrap())), (200, room.clone()));
            let (status, error) = server.post("carol", "createRoom", json!({ "room_alias_name": alias })).await;
            assert_eq!((status, &error["errcode"]), (400, &json!("M_ROOM_IN_USE")));
            let (_, listed) = server.get("", &format!("directory/list/room/{room}")).await;
            assert_eq!(listed["visibility"], "public");
        }
        let (_, public) = server.get("", "publicRooms?limit=2").await;
        assert_eq!(public["total_room_count_estimate"], 3);
        assert_eq!(public["chunk"].as_array().unwrap().len(), 2);
        let (_, rest) = server.get("", &format!("publicRooms?since={}", public["next_batch"].as_str().unwrap())).await;
        assert_eq!(rest["chunk"].as_array().unwrap().len(), 1);
    });
}

#[test]
fn in_a_trusted_private_chat_the_invited_are_as_powerful() {
    on_both(|db| async move {
        let server = Server::new(&db).await;
        let wanted = |version: &str| {
            json!({
                "room_version": version, "preset": "trusted_private_chat", "invite": ["@bob:example.org"],
                "creation_content": { "additional_creators": ["@carol:example.org"] },
            })
        };
        let room = server.create("alice", wanted("12")).await;
        let (_, create) = server.get("alice", &format!("rooms/{room}/state/m.room.create/")).await;
        assert_eq!(create["additional_creators"], json!(["@carol:example.org", "@bob:example.org"]));
        let room = server.create("alice", wanted("11")).await;
        let (_, levels) = server.get("alice", &format!("rooms/{room}/state/m.room.power_levels")).await;
        assert_eq!(levels["users"], json!({ "@alice:example.org": 100, "@bob:example.org": 100 }));
    });
}

#[test]
fn what_cannot_be_is_refused_and_leaves_nothing() {
    on_both(|db| async move {
        let server = Server::new(&db).await;
        for (body, status, errcode) in [
            (json!({ "room_version": "1" }), 400, "M_UNSUPPORTED_ROOM_VERSION"),
            (json!({ "room_version": 12 }), 400, "M_BAD_JSON"),
            (
                json!({ "invite_3pid": [{ "id_server": "s.org", "id_access_token": "t", "medium": "email", "address": "a@b.c" }] }),
                403,
                "M_THREEPID_DENIED",
            ),
            (json!({ "invite": ["@bob:elsewhere.org"] }), 404, "M_NOT_FOUND"),
            (json!({ "invite": ["bob"] }), 400, "M_BAD_JSON"),
            (json!({ "room_alias_name": "a:b" }), 400, "M_INVALID_PARAM"),
            (json!({ "initial_state": [{ "type": "m.room.create", "content": {} }] }), 400, "M_INVALID_PARAM"),
            (json!({ "initial_state": [{ "type": "x" }] }), 400, "M_BAD_JSON"),
            (json!({ "initial_state": [{ "type": "x", "content": { "f": 1.5 } }] }), 400, "M_BAD_JSON"),
            (json!({ "initial_state": [{ "type": "x".repeat(256), "content": {} }] }), 400, "M_INVALID_PARAM"),
            (json!({ "name": "n".repeat(70_000) }), 413, "M_TOO_LARGE"),
            (json!({ "power_level_content_override": { "users": { "@alice:example.org": 100 } } }), 400, "M_BAD_JSON"),
            (json!({ "room_version": "11", "power_level_content_override": { "users": {} } }), 400, "M_BAD_JSON"),
            (json!({ "power_level_content_override": { "ban": "x" } }), 400, "M_BAD_JSON"),
            (
                json!({ "room_version": "11", "name": "n", "power_level_content_override":
                { "users": { "@alice:example.org": 0 } } }),
                400,
                "M_INVALID_ROOM_STATE",
            ),
        ] {
            let (got, error) = server.post("alice", "createRoom", body.clone()).await;
            let head: String = body.to_string().chars().take(100).collect();
            assert_eq!((got, &error["errcode"]), (status, &json!(errcode)), "{head} {error}");
        }
        let (_, joined) = server.get("alice", "joined_rooms").await;
        assert_eq!(joined["joined_rooms"], json!([]));
    });
}

#[test]
fn the_same_request_makes_one_room() {
    on_both(|db| async move {
        let (one, other) = (Server::new(&db).await, Server::new(&db).await);
        let post = http::Method::POST;
        let calls = (0..8).map(|index| {
            let server = if index % 2 == 0 { &one } else { &other };
            server.call_with_key("alice", post.clone(), "createRoom", json!({ "name": "once" }), "same-key")
        });
        let answers = futures::future::join_all(calls).await;
        for (status, body) in &answers {
            assert_eq!((*status, body), (200, &answers[0].1));
        }
        let (_, joined) = one.get("alice", "joined_rooms").await;
        assert_eq!(joined["joined_rooms"].as_array().unwrap().len(), 1);
    });
}
