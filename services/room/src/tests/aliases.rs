use http::Method;
use serde_json::json;

use super::harness::{Server, on_both};

#[test]
fn aliases_are_made_found_and_taken_away() {
    on_both(|db| async move {
        let server = Server::new(&db).await;
        let room = server.public_room("alice").await;
        let room_id = room.replace("%21", "!").replace("%3A", ":");
        let path = "directory/room/%23one%3Aexample.org";
        let body = json!({ "room_id": room_id });
        assert_eq!(server.put("mallory", path, body.clone()).await.0, 403);
        assert_eq!(server.put("alice", path, body.clone()).await.0, 200);
        assert_eq!(server.put("alice", path, body.clone()).await.0, 409, "there is one already");
        server.join("bob", &room).await;
        assert_eq!(server.put("bob", path, body.clone()).await.0, 409);
        assert_eq!(server.put("bob", "directory/room/%23x%3Aelsewhere.org", body).await.0, 400);
        let (_, listed) = server.get("bob", &format!("rooms/{room}/aliases")).await;
        assert_eq!(listed["aliases"], json!(["#one:example.org"]));
        assert_eq!(server.get("carol", &format!("rooms/{room}/aliases")).await.0, 403);
        server.post("carol", "join/%23one%3Aexample.org", json!({})).await;
        assert_eq!(server.get("carol", &format!("rooms/{room}/aliases")).await.0, 200);

        let canonical = format!("rooms/{room}/state/m.room.canonical_alias");
        assert_eq!(server.put("alice", &canonical, json!({ "alias": "#one:example.org" })).await.0, 200);
        assert_eq!(server.call("bob", Method::DELETE, path, json!({})).await.0, 403);
        assert_eq!(server.call("alice", Method::DELETE, path, json!({})).await.0, 200);
        assert_eq!(server.get("alice", &canonical).await.1, json!({}), "it is the canonical alias no longer");
        assert_eq!(server.call("alice", Method::DELETE, path, json!({})).await.0, 404);
        assert_eq!(server.get("", path).await.1["errcode"], "M_NOT_FOUND");
        let gone = json!({ "alias": "#one:example.org", "own": 1 });
        assert_eq!(server.put("alice", &canonical, gone).await.1["errcode"], "M_BAD_ALIAS");
    });
}
