//! Rooms in responses: what is in which section.

use serde_json::{Value, json};

use super::{Harness, World, on_both, world::user};
use crate::Config;

fn ids(events: &Value) -> Vec<&str> {
    events.as_array().into_iter().flatten().map(|event| event["event_id"].as_str().unwrap()).collect()
}

fn types(events: &Value) -> Vec<&str> {
    events.as_array().into_iter().flatten().map(|event| event["type"].as_str().unwrap()).collect()
}

fn batch(response: &Value) -> &str {
    response["next_batch"].as_str().unwrap()
}

async fn room_of_two(world: &mut World) -> usize {
    let room = world.create_room(&user(0)).await;
    world.member(room, &user(1), &user(1), "join").await;
    room
}

#[tokio::test(flavor = "multi_thread")]
async fn an_initial_sync_has_state_timeline_summary_and_push_rules() {
    on_both(Config::default(), async |harness: Harness| {
        let mut world = harness.world();
        let room = room_of_two(&mut world).await;
        world.state(room, &user(0), "m.room.name", "", json!({"name": "Tea"})).await;
        let mut sent = Vec::new();
        for _ in 0..20 {
            sent.push(world.message(room, &user(1), "x").await);
        }
        for replica in [0, 1, 0] {
            let response = harness.client(replica, &user(0)).sync(&[]).await;
            let joined = &response["rooms"]["join"]["!r0:example.org"];
            assert_eq!(ids(&joined["timeline"]["events"]), sent[10..]);
            assert_eq!(joined["timeline"]["limited"], true);
            assert_eq!(joined["state"]["events"].as_array().unwrap().len(), 6);
            assert_eq!(joined["summary"], json!({"m.joined_member_count": 2, "m.invited_member_count": 0}));
            assert_eq!(response["account_data"]["events"][0]["type"], "m.push_rules");
            assert_eq!(joined["timeline"]["events"][0]["unsigned"], json!({"age": 500, "membership": "join"}));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_event_in_the_timeline_is_not_in_the_state_and_tells_what_it_replaced() {
    on_both(Config::default(), async |harness: Harness| {
        let mut world = harness.world();
        let room = room_of_two(&mut world).await;
        let old = world.state(room, &user(0), "m.room.topic", "", json!({"topic": "old"})).await;
        for _ in 0..10 {
            world.message(room, &user(0), "x").await;
        }
        let new = world.state(room, &user(0), "m.room.topic", "", json!({"topic": "new"})).await;
        let filter = json!({"room": {"timeline": {"limit": 2}}}).to_string();
        let client = harness.client(0, &user(1));
        let initial = client.sync(&[("filter", &filter)]).await;
        let joined = &initial["rooms"]["join"]["!r0:example.org"];
        assert!(ids(&joined["state"]["events"]).contains(&old.as_str()));
        assert!(!ids(&joined["state"]["events"]).contains(&new.as_str()));
        let unsigned = &joined["timeline"]["events"][1]["unsigned"];
        assert_eq!(unsigned["prev_content"], json!({"topic": "old"}));
        assert_eq!(unsigned["replaces_state"], json!(old));
        // and with `state_after` the other way round
        let after = client.sync(&[("filter", &filter), ("use_state_after", "true")]).await;
        let joined = &after["rooms"]["join"]["!r0:example.org"];
        assert!(joined.get("state").is_none());
        assert!(ids(&joined["state_after"]["events"]).contains(&new.as_str()));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_is_limited_and_carries_the_state_that_changed_in_it() {
    on_both(Config { tail_bytes: 2_000, ..Config::default() }, async |harness: Harness| {
        let mut world = harness.world();
        let room = room_of_two(&mut world).await;
        let client = harness.client(0, &user(1));
        let initial = client.sync(&[]).await;
        let topic = world.state(room, &user(0), "m.room.topic", "", json!({"topic": "new"})).await;
        let mut sent = Vec::new();
        for _ in 0..30 {
            sent.push(world.message(room, &user(0), "x").await);
        }
        harness.settle().await;
        for replica in [0, 1] {
            let client = harness.client(replica, &user(1));
            harness.settle().await;
            let next = client.sync(&[("since", batch(&initial))]).await;
            let joined = &next["rooms"]["join"]["!r0:example.org"];
            assert_eq!(joined["timeline"]["limited"], true);
            assert_eq!(ids(&joined["timeline"]["events"]), sent[20..]);
            assert_eq!(ids(&joined["state"]["events"]), [topic.as_str()]);
            let before = world.events.iter().find(|event| event.event_id == sent[20]).unwrap().position - 1;
            assert_eq!(joined["timeline"]["prev_batch"], format!("p{before}"));
            let nothing = client.try_sync(&[("since", batch(&next))]).await;
            let keys = r#""device_one_time_keys_count":{"signed_curve25519":0},"device_unused_fallback_key_types":[]"#;
            assert_eq!(nothing.text, format!("{{\"next_batch\":\"{}\",{keys}}}", batch(&next)));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_then_a_join_then_a_kick_each_appear_once() {
    on_both(Config::default(), async |harness: Harness| {
        let mut world = harness.world();
        let room = world.create_room(&user(0)).await;
        world.state(room, &user(0), "m.room.name", "", json!({"name": "Tea"})).await;
        let client = harness.client(1, &user(1));
        let first = client.sync(&[]).await;
        world.member(room, &user(0), &user(1), "invite").await;
        let invited = client.sync(&[("since", batch(&first))]).await;
        let stripped = &invited["rooms"]["invite"]["!r0:example.org"]["invite_state"]["events"];
        let mut found = types(stripped);
        found.sort_unstable();
        assert_eq!(found, ["m.room.create", "m.room.join_rules", "m.room.member", "m.room.member", "m.room.name"]);
        assert_eq!(stripped[4]["state_key"], user(1));
        assert!(stripped[4].get("event_id").is_none());

        let missed = world.message(room, &user(0), "before the join").await;
        let join = world.member(room, &user(1), &user(1), "join").await;
        harness.settle().await;
        let joined = client.sync(&[("since", batch(&invited))]).await;
        assert!(joined["rooms"].get("invite").is_none());
        let section = &joined["rooms"]["join"]["!r0:example.org"];
        let timeline = ids(&section["timeline"]["events"]);
        assert!(timeline.ends_with(&[missed.as_str(), join.as_str()]));
        assert_eq!(section["summary"]["m.joined_member_count"], 2);
        assert_eq!(section["timeline"]["limited"], true, "new to the client");

        world.message(room, &user(0), "bye").await;
        let kick = world.member(room, &user(0), &user(1), "leave").await;
        world.message(room, &user(0), "not for the kicked").await;
        harness.settle().await;
        let left = client.sync(&[("since", batch(&joined))]).await;
        let timeline = ids(&left["rooms"]["leave"]["!r0:example.org"]["timeline"]["events"]);
        assert_eq!(timeline.len(), 2);
        assert_eq!(timeline[1], kick);
        assert!(left["rooms"].get("join").is_none());
        let nothing = client.sync(&[("since", batch(&left))]).await;
        assert!(nothing.get("rooms").is_none());
        // asked again with the old token, the answer is the same
        let again = client.sync(&[("since", batch(&joined))]).await;
        assert_eq!(ids(&again["rooms"]["leave"]["!r0:example.org"]["timeline"]["events"]), timeline);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_invite_shows_nothing_of_the_room() {
    on_both(Config::default(), async |harness: Harness| {
        let mut world = harness.world();
        let room = world.create_room(&user(0)).await;
        let client = harness.client(0, &user(1));
        world.member(room, &user(0), &user(1), "invite").await;
        let first = client.sync(&[]).await;
        assert!(first["rooms"]["invite"].get("!r0:example.org").is_some());
        world.message(room, &user(0), "secret").await;
        let leave = world.member(room, &user(1), &user(1), "leave").await;
        harness.settle().await;
        for replica in [0, 1] {
            let left = harness.client(replica, &user(1)).sync(&[("since", batch(&first))]).await;
            let section = &left["rooms"]["leave"]["!r0:example.org"];
            assert_eq!(ids(&section["timeline"]["events"]), [leave.as_str()]);
            assert_eq!(section["state"]["events"], json!([]));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_before_the_join_is_shown_as_the_room_allows() {
    on_both(Config::default(), async |harness: Harness| {
        let mut world = harness.world();
        for visibility in ["shared", "invited", "joined"] {
            let room = world.create_room(&user(0)).await;
            let content = json!({"history_visibility": visibility});
            world.state(room, &user(0), "m.room.history_visibility", "", content).await;
            world.message(room, &user(0), "before the invite").await;
            world.member(room, &user(0), &user(1), "invite").await;
            world.message(room, &user(0), "before the join").await;
        }
        let first = harness.client(0, &user(1)).sync(&[]).await;
        for room in 0..3 {
            world.member(room, &user(1), &user(1), "join").await;
            world.message(room, &user(0), "after").await;
        }
        let count = |response: &Value, room: usize| {
            let timeline = response["rooms"]["join"][format!("!r{room}:example.org")]["timeline"]["events"].clone();
            types(&timeline).iter().filter(|kind| **kind == "m.room.message").count()
        };
        harness.settle().await;
        for replica in [0, 1] {
            let client = harness.client(replica, &user(1));
            harness.settle().await;
            let next = client.sync(&[("since", batch(&first))]).await;
            assert_eq!([count(&next, 0), count(&next, 1), count(&next, 2)], [3, 2, 1]);
            let initial = client.sync(&[]).await;
            assert_eq!([count(&initial, 0), count(&initial, 1), count(&initial, 2)], [3, 2, 1]);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms_left_appear_in_an_initial_sync_only_when_asked_for_and_not_forgotten() {
    on_both(Config::default(), async |harness: Harness| {
        let mut world = harness.world();
        for _ in 0..2 {
            let room = room_of_two(&mut world).await;
            world.message(room, &user(0), "x").await;
            world.member(room, &user(1), &user(1), "leave").await;
            world.message(room, &user(0), "later").await;
        }
        world.forget(1, &user(1)).await;
        let filter = json!({"room": {"include_leave": true}}).to_string();
        let client = harness.client(0, &user(1));
        let all = client.sync(&[("filter", &filter)]).await;
        let left = all["rooms"]["leave"].as_object().unwrap();
        assert_eq!(left.keys().collect::<Vec<_>>(), ["!r0:example.org"]);
        let section = &left["!r0:example.org"];
        assert_eq!(types(&section["timeline"]["events"]).last(), Some(&"m.room.member"));
        let plain = client.sync(&[]).await;
        assert!(plain.get("rooms").is_none());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lazy_loading_sends_the_members_that_speak_and_not_twice() {
    on_both(Config::default(), async |harness: Harness| {
        let mut world = harness.world();
        let room = world.create_room(&user(0)).await;
        for number in 1..9 {
            world.member(room, &user(number), &user(number), "join").await;
        }
        for _ in 0..3 {
            world.message(room, &user(5), "x").await;
        }
        let filter = json!({"room": {"timeline": {"limit": 3}, "state": {"lazy_load_members": true}}}).to_string();
        let client = harness.client(0, &user(0));
        let members = |response: &Value| {
            let state = response["rooms"]["join"]["!r0:example.org"]["state"]["events"].clone();
            let members = state.as_array().into_iter().flatten().filter(|event| event["type"] == "m.room.member");
            let mut members: Vec<String> =
                members.map(|event| event["state_key"].as_str().unwrap().to_owned()).collect();
            members.sort_unstable();
            members
        };
        let initial = client.sync(&[("filter", &filter)]).await;
        // the one who spoke, the reader, and the heroes of a room without a name
        assert_eq!(members(&initial), [user(0), user(1), user(2), user(3), user(4), user(5)]);
        world.message(room, &user(5), "x").await;
        world.message(room, &user(7), "x").await;
        harness.settle().await;
        let next = client.sync(&[("filter", &filter), ("since", batch(&initial))]).await;
        assert_eq!(members(&next), [user(7)]);
        world.message(room, &user(7), "x").await;
        let more = client.sync(&[("filter", &filter), ("since", batch(&next))]).await;
        assert_eq!(members(&more), [""; 0]);
        let again = client.sync(&[("filter", &filter), ("since", batch(&initial))]).await;
        assert_eq!(members(&again), [user(7)], "the client did not get the response that had it");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redaction_in_the_tail_leaves_no_content_behind() {
    on_both(Config::default(), async |harness: Harness| {
        let mut world = harness.world();
        let room = room_of_two(&mut world).await;
        let client = harness.client(0, &user(1));
        let first = client.sync(&[]).await;
        let message = world.message(room, &user(0), "regretted").await;
        let topic = world.state(room, &user(0), "m.room.topic", "", json!({"topic": "regretted"})).await;
        let seen = client.try_sync(&[("since", batch(&first))]).await;
        assert!(seen.text.contains("regretted"));
        world.state(room, &user(0), "m.room.topic", "", json!({"topic": "fine"})).await;
        world.redact(room, &user(0), &message).await;
        world.redact(room, &user(0), &topic).await;
        harness.settle().await;
        for replica in [0, 1] {
            let client = harness.client(replica, &user(1));
            for query in [vec![("since", batch(&first))], vec![]] {
                let reply = client.try_sync(&query).await;
                assert!(!reply.text.contains("regretted"), "{}", reply.text);
                let events = &reply.body["rooms"]["join"]["!r0:example.org"]["timeline"]["events"];
                let redacted = events.as_array().unwrap().iter().find(|event| event["event_id"] == message).unwrap();
                assert_eq!(redacted["unsigned"]["redacted_because"]["type"], "m.room.redaction");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ignored_people_are_not_heard_and_transaction_ids_go_to_their_device() {
    on_both(Config::default(), async |harness: Harness| {
        let mut world = harness.world();
        let room = room_of_two(&mut world).await;
        let client = harness.client(0, &user(1));
        let first = client.sync(&[]).await;
        let own = world.message_from(room, &user(1), "DEVICE", "txn").await;
        world.message_from(room, &user(0), "DEVICE", "other").await;
        harness.settle().await;
        let next = client.sync(&[("since", batch(&first))]).await;
        let events = &next["rooms"]["join"]["!r0:example.org"]["timeline"]["events"];
        assert_eq!(events[0]["event_id"], own);
        assert_eq!(events[0]["unsigned"]["transaction_id"], "txn");
        assert!(events[1]["unsigned"].get("transaction_id").is_none());

        let path = format!("/_matrix/client/v3/user/{}/account_data/m.ignored_user_list", user(1));
        client.put(&path, json!({"ignored_users": {user(0): {}}})).await.ok();
        world.message(room, &user(0), "unheard").await;
        harness.settle().await;
        for replica in [0, 1] {
            let reply = harness.client(replica, &user(1)).try_sync(&[("since", batch(&next))]).await;
            assert!(!reply.text.contains("unheard"), "{}", reply.text);
            assert!(reply.text.contains("m.ignored_user_list"));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn full_state_repeats_the_state_and_not_the_timeline() {
    on_both(Config::default(), async |harness: Harness| {
        let mut world = harness.world();
        room_of_two(&mut world).await;
        let client = harness.client(0, &user(1));
        let first = client.sync(&[]).await;
        let full = client.sync(&[("since", batch(&first)), ("full_state", "true"), ("timeout", "60000")]).await;
        let room = &full["rooms"]["join"]["!r0:example.org"];
        assert_eq!(room["state"]["events"].as_array().unwrap().len(), 5);
        assert!(room.get("timeline").is_none());
    })
    .await;
}
