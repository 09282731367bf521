use serde_json::json;

use super::harness::{Server, on_both};

async fn act(server: &Server, user: &str, room: &str, verb: &str, target: &str) -> u16 {
    let body = json!({ "user_id": format!("@{target}:example.org"), "reason": "because" });
    server.post(user, &format!("rooms/{room}/{verb}"), body).await.0
}

#[test]
fn the_life_of_a_membership() {
    on_both(|db| async move {
        let server = Server::new(&db).await;
        let room = server.create("alice", json!({})).await;
        let join = format!("rooms/{room}/join");
        assert_eq!(server.post("bob", &join, json!({})).await.0, 403);
        assert_eq!(act(&server, "bob", &room, "invite", "bob").await, 403);
        assert_eq!(act(&server, "alice", &room, "invite", "bob").await, 200);
        assert_eq!(server.get("bob", &format!("rooms/{room}/state")).await.0, 403);
        // clients that send no body at all
        assert_eq!(server.post("bob", &join, json!({})).await.0, 200);
        let (status, joined) = server.post("bob", &join, json!({})).await;
        assert_eq!((status, super::harness::escape(joined["room_id"].as_str().unwrap())), (200, room.clone()));
        assert_eq!(act(&server, "alice", &room, "invite", "bob").await, 403);

        assert_eq!(act(&server, "bob", &room, "kick", "alice").await, 403);
        assert_eq!(act(&server, "alice", &room, "kick", "carol").await, 403);
        assert_eq!(act(&server, "alice", &room, "kick", "bob").await, 200);
        assert_eq!(act(&server, "alice", &room, "unban", "bob").await, 403);
        assert_eq!(act(&server, "alice", &room, "ban", "bob").await, 200);
        assert_eq!(act(&server, "alice", &room, "invite", "bob").await, 403);
        assert_eq!(server.post("bob", &join, json!({})).await.0, 403);
        assert_eq!(act(&server, "alice", &room, "unban", "bob").await, 200);
        assert_eq!(act(&server, "alice", &room, "invite", "bob").await, 200);
        assert_eq!(server.post("bob", &format!("rooms/{room}/leave"), json!({})).await.0, 200);
        assert_eq!(server.post("bob", &format!("rooms/{room}/leave"), json!({})).await.0, 403);

        let forget = format!("rooms/{room}/forget");
        assert_eq!(server.post("alice", &forget, json!({})).await.0, 400);
        assert_eq!(server.post("bob", &forget, json!({})).await.0, 200);
        assert_eq!(server.get("bob", &format!("rooms/{room}/messages?dir=b")).await.0, 403);
        assert_eq!(server.post("bob", "rooms/%21unknown%3Aexample.org/join", json!({})).await.0, 404);
        assert_eq!(server.post("bob", "join/%23unknown%3Aexample.org", json!({})).await.0, 404);
        assert_eq!(server.post("bob", "join/%23unknown%3Aelsewhere.org", json!({})).await.0, 404);
        assert_eq!(server.post("bob", "join/nonsense", json!({})).await.0, 400);
        let three = json!({ "id_server": "s", "id_access_token": "t", "medium": "email", "address": "a@b.c" });
        assert_eq!(
            server.post("alice", &format!("rooms/{room}/invite"), three).await.1["errcode"],
            "M_THREEPID_DENIED"
        );
    });
}

#[test]
fn a_restricted_room_takes_members_of_the_allowed_room() {
    on_both(|db| async move {
        let server = Server::new(&db).await;
        let space = server.public_room("alice").await;
        let allowed = space.replace("%21", "!").replace("%3A", ":");
        let rules =
            json!({ "join_rule": "restricted", "allow": [{ "type": "m.room_membership", "room_id": allowed }] });
        let initial = json!([{ "type": "m.room.join_rules", "content": rules }]);
        for version in ["10", "12"] {
            let room = server.create("alice", json!({ "initial_state": initial, "room_version": version })).await;
            let user = format!("bob{version}");
            assert_eq!(server.post(&user, &format!("rooms/{room}/join"), json!({})).await.0, 403);
            server.join(&user, &space).await;
            server.join(&user, &room).await;
            let (_, member) =
                server.get("alice", &format!("rooms/{room}/state/m.room.member/%40{user}%3Aexample.org")).await;
            assert_eq!(member["join_authorised_via_users_server"], "@alice:example.org");
        }
    });
}

#[test]
fn knocking_asks_for_an_invitation() {
    on_both(|db| async move {
        let server = Server::new(&db).await;
        let rules = json!([{ "type": "m.room.join_rules", "content": { "join_rule": "knock" } }]);
        let room = server.create("alice", json!({ "initial_state": rules })).await;
        assert_eq!(server.post("bob", &format!("knock/{room}"), json!({ "reason": "please" })).await.0, 200);
        assert_eq!(server.post("bob", &format!("rooms/{room}/join"), json!({})).await.0, 403);
        assert_eq!(act(&server, "alice", &room, "invite", "bob").await, 200);
        server.join("bob", &room).await;
        assert_eq!(server.post("bob", &format!("knock/{room}"), json!({})).await.0, 403);
    });
}

#[test]
fn a_repeated_request_does_its_work_once() {
    on_both(|db| async move {
        let server = Server::new(&db).await;
        let room = server.public_room("alice").await;
        server.join("bob", &room).await;
        let kick = format!("rooms/{room}/kick");
        let body = json!({ "user_id": "@bob:example.org" });
        for _ in 0..3 {
            let (status, answer) = server.call_with_key("alice", http::Method::POST, &kick, body.clone(), "k1").await;
            assert_eq!(status, 200, "{answer}");
        }
        assert_eq!(server.post("alice", &kick, body).await.0, 403);
        // A → B → A by three requests, each repeated
        let path = format!("rooms/{room}/state/m.room.topic/");
        for (key, topic) in [("s1", "a"), ("s2", "b"), ("s1", "a"), ("s2", "b")] {
            server.call_with_key("alice", http::Method::PUT, &path, json!({ "topic": topic }), key).await;
        }
        let events = server.timeline("alice", &room).await;
        assert_eq!(events.iter().filter(|event| event["type"] == "m.room.topic").count(), 2);
    });
}
