//! The options of section `auth.profiles`, and the stream that tells of changes.

use matrixon_store::{Db, exec, sql};
use serde_json::json;

use super::on_both;
use crate::{config::ProfilesConfig, store::profiles::prune_changes, tests::harness::open};

const ALICE: &str = "/v3/profile/@alice:example.org";

/// A room as the room service makes it, with its rules and members.
async fn add_room(db: &Db, name: &str, join_rule: &str, members: &[&str]) {
    let room_id = format!("!{name}:example.org");
    let (room,) = sql!(
        db.write(),
        fetch_one as (i64,),
        "insert into rooms (room_id, room_version, version, forward_extremities, depth, state_snapshot, created_ts)
         values ($1, '11', 0, '[]', 0, 0, 0) returning id",
        room_id
    )
    .unwrap();
    let json = json!({ "content": { "join_rule": join_rule } }).to_string();
    exec!(
        db.write(),
        "insert into events (position, room, event_id, event_type, state_key, sender, depth, origin_server_ts, json, pdu,
             state_before, state_after, history_visibility)
         values ($1, $1, $2, 'm.room.join_rules', '', '@a:b', 1, 0, $3, '{}', 0, 0, 2)",
        room,
        format!("${name}"),
        json
    )
    .unwrap();
    exec!(
        db.write(),
        "insert into current_state (room, event_type, state_key, event) values ($1, 'm.room.join_rules', '', $1)",
        room
    )
    .unwrap();
    for member in members {
        exec!(
            db.write(),
            "insert into memberships (user_id, room, membership, event, sender) values ($1, $2, 'join', $2, $1)",
            *member,
            room
        )
        .unwrap();
    }
}

#[tokio::test]
async fn profiles_may_need_a_token() {
    let mut config = open();
    config.profiles = ProfilesConfig { require_authentication: true, ..ProfilesConfig::default() };
    on_both(config, |server| async move {
        server.register("alice").await;
        let bob = server.register("bob").await;
        server.get(ALICE, None).await.refused(401, "M_MISSING_TOKEN");
        server.get(&format!("{ALICE}/displayname"), None).await.refused(401, "M_MISSING_TOKEN");
        assert_eq!(server.get(ALICE, Some(&bob)).await.ok(), json!({ "displayname": "alice" }));
        server.get("/v3/profile/@nobody:example.org", Some(&bob)).await.refused(404, "M_NOT_FOUND");
    })
    .await;
}

#[tokio::test]
async fn profiles_may_be_for_acquaintances() {
    let mut config = open();
    config.profiles = ProfilesConfig { limit_to_shared_rooms: true, ..ProfilesConfig::default() };
    on_both(config, |server| async move {
        let alice = server.register("alice").await;
        let bob = server.register("bob").await;
        let carol = server.register("carol").await;
        server.get(ALICE, None).await.refused(401, "M_MISSING_TOKEN");
        server.get(ALICE, Some(&alice)).await.ok();
        server.get(ALICE, Some(&bob)).await.refused(403, "M_FORBIDDEN");
        add_room(&server.db, "private", "invite", &["@alice:example.org", "@bob:example.org"]).await;
        server.get(ALICE, Some(&bob)).await.ok();
        server.get(&format!("{ALICE}/displayname"), Some(&carol)).await.refused(403, "M_FORBIDDEN");
        add_room(&server.db, "public", "public", &["@alice:example.org"]).await;
        server.get(ALICE, Some(&carol)).await.ok();
        server.get("/v3/profile/@bob:example.org", Some(&carol)).await.refused(403, "M_FORBIDDEN");
        server.get("/v3/profile/@nobody:example.org", Some(&carol)).await.refused(403, "M_FORBIDDEN");
    })
    .await;
}

#[tokio::test]
async fn fields_may_be_kept_by_the_server() {
    let mut config = open();
    config.profiles = ProfilesConfig { disallowed_fields: vec!["displayname".to_owned()], ..ProfilesConfig::default() };
    on_both(config, |server| async move {
        let alice = server.register("alice").await;
        let name = format!("{ALICE}/displayname");
        server.put(&name, Some(&alice), json!({ "displayname": "x" })).await.refused(403, "M_FORBIDDEN");
        server.send(http::Method::DELETE, &name, Some(&alice), json!({})).await.refused(403, "M_FORBIDDEN");
        server.put(&format!("{ALICE}/m.tz"), Some(&alice), json!({ "m.tz": "UTC" })).await.ok();
        let capabilities = server.get("/v3/capabilities", Some(&alice)).await.ok()["capabilities"].take();
        assert_eq!(capabilities["m.profile_fields"], json!({ "enabled": true, "disallowed": ["displayname"] }));
        assert_eq!(capabilities["m.set_displayname"], json!({ "enabled": false }));
        assert_eq!(capabilities["m.set_avatar_url"], json!({ "enabled": true }));
    })
    .await;
}

/// `(field, propagate)` of the stream, in order.
async fn changes(db: &Db) -> Vec<(String, bool)> {
    sql!(db.read(), fetch_all as (String, bool), "select field, propagate from profile_changes order by position")
        .unwrap()
}

#[tokio::test]
async fn changes_are_appended_once() {
    on_both(open(), |server| async move {
        let alice = server.register("alice").await;
        let change = |field: &str, propagate: bool| (field.to_owned(), propagate);
        assert_eq!(changes(&server.db).await, [change("displayname", false)]);
        let (name, zone) = (format!("{ALICE}/displayname"), format!("{ALICE}/m.tz"));
        for _ in 0..2 {
            server.put(&name, Some(&alice), json!({ "displayname": "Alice" })).await.ok();
            server.put(&zone, Some(&alice), json!({ "m.tz": "UTC" })).await.ok();
        }
        let quiet = format!("{name}?propagate=false");
        server.put(&quiet, Some(&alice), json!({ "displayname": "Quiet" })).await.ok();
        for _ in 0..2 {
            server.send(http::Method::DELETE, &zone, Some(&alice), json!({})).await.ok();
        }
        let expected = [
            change("displayname", false),
            change("displayname", true),
            change("m.tz", false),
            change("displayname", false),
            change("m.tz", false),
        ];
        assert_eq!(changes(&server.db).await, expected);
        // what is old and was passed by everybody is pruned
        assert_eq!(prune_changes(&server.db, 3, i64::MAX, 100).await.unwrap(), 3);
        assert_eq!(prune_changes(&server.db, 5, 0, 100).await.unwrap(), 0);
        assert_eq!(changes(&server.db).await, expected[3..]);
    })
    .await;
}

#[tokio::test]
async fn rooms_may_never_hear_of_changes() {
    let mut config = open();
    config.profiles = ProfilesConfig { propagate: false, ..ProfilesConfig::default() };
    on_both(config, |server| async move {
        let alice = server.register("alice").await;
        server.put(&format!("{ALICE}/displayname"), Some(&alice), json!({ "displayname": "Alice" })).await.ok();
        assert!(changes(&server.db).await.iter().all(|(_, propagate)| !propagate));
    })
    .await;
}

#[tokio::test]
async fn openid_tokens_expire() {
    on_both(open(), |server| async move {
        let alice = server.register("alice").await;
        let path = "/v3/user/@alice:example.org/openid/request_token";
        let token = server.post(path, Some(&alice), json!({})).await.ok();
        let sha256 = crate::sessions::tokens::hash_token(token["access_token"].as_str().unwrap());
        let now = server.clock.now_ms();
        let owner = |at: i64| crate::store::openid_tokens::find_owner(&server.db, &sha256, at);
        assert_eq!(owner(now).await.unwrap().as_deref(), Some("@alice:example.org"));
        assert_eq!(owner(now + 3_600_000).await.unwrap(), None);
        assert_eq!(crate::store::openid_tokens::delete_expired(&server.db, now).await.unwrap(), 0);
        assert_eq!(crate::store::openid_tokens::delete_expired(&server.db, now + 3_600_000).await.unwrap(), 1);
    })
    .await;
}
