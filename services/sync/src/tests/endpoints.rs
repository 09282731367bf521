//! Filters, account data, receipts, typing, presence and push rules through the router.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    Harness,
    harness::{Client, escape},
    on_both,
    world::user,
};
use crate::Config;

fn batch(response: &Value) -> String {
    response["next_batch"].as_str().unwrap().to_owned()
}

fn own(path: &str) -> String {
    format!("/_matrix/client/v3/user/{}/{path}", escape(&user(1)))
}

async fn setup(harness: &Harness) -> (super::World, Client, Client) {
    let mut world = harness.world();
    let room = world.create_room(&user(0)).await;
    world.member(room, &user(1), &user(1), "join").await;
    (world, harness.client(0, &user(0)), harness.client(1, &user(1)))
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_are_stored_once_and_applied_by_id() {
    on_both(Config::default(), async |harness: Harness| {
        let (mut world, _, client) = setup(&harness).await;
        world.message(0, &user(0), "x").await;
        let filter = json!({"room": {"timeline": {"types": ["m.room.message"]}}, "org.example.unknown": 1});
        let id = client.post(&own("filter"), filter.clone()).await.ok()["filter_id"].as_str().unwrap().to_owned();
        assert_eq!(client.post(&own("filter"), filter.clone()).await.ok()["filter_id"], id.as_str());
        assert_eq!(client.get(&own(&format!("filter/{id}"))).await.ok(), filter);
        let response = client.sync(&[("filter", &id)]).await;
        assert_eq!(response["rooms"]["join"]["!r0:example.org"]["timeline"]["events"].as_array().unwrap().len(), 1);
        client.get(&own("filter/99")).await.refused(404, "M_NOT_FOUND");
        client.get(&own("filter/x")).await.refused(404, "M_NOT_FOUND");
        client.try_sync(&[("filter", "99")]).await.refused(400, "M_INVALID_PARAM");
        client.try_sync(&[("filter", "{\"room\":1}")]).await.refused(400, "M_BAD_JSON");
        client.try_sync(&[("filter", "{\"event_format\":\"x\"}")]).await.refused(400, "M_BAD_JSON");
        client.post(&own("filter"), json!({"event_format": "x"})).await.refused(400, "M_BAD_JSON");
        client.post(&own("filter"), json!({"room": {"timeline": {"limit": -1}}})).await.refused(400, "M_BAD_JSON");
        client.post("/_matrix/client/v3/user/@u2:example.org/filter", json!({})).await.refused(403, "M_FORBIDDEN");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn account_data_comes_in_both_kinds_of_sync_and_back_by_get() {
    on_both(Config { tail_bytes: 1_000, ..Config::default() }, async |harness: Harness| {
        let (_world, _, client) = setup(&harness).await;
        let first = batch(&client.sync(&[]).await);
        let room = "rooms/!r0:example.org/account_data/m.tag";
        client.get(&own(room)).await.refused(404, "M_NOT_FOUND");
        for n in 0..3 {
            client.put(&own("account_data/org.example.a"), json!({"n": n, "nul": "\u{0}"})).await.ok();
            client.put(&own(room), json!({"tags": {"u.x": {}}, "n": n})).await.ok();
        }
        assert_eq!(client.get(&own("account_data/org.example.a")).await.ok(), json!({"n": 2, "nul": "\u{0}"}));
        for replica in [0, 1] {
            let client = harness.client(replica, &user(1));
            for query in [vec![], vec![("since", first.as_str())]] {
                let response = client.sync(&query).await;
                let global: Vec<&Value> = response["account_data"]["events"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter(|event| event["type"] == "org.example.a")
                    .collect();
                assert_eq!(global, [&json!({"type": "org.example.a", "content": {"n": 2, "nul": "\u{0}"}})]);
                let tags = &response["rooms"]["join"]["!r0:example.org"]["account_data"]["events"];
                assert_eq!(tags, &json!([{"type": "m.tag", "content": {"tags": {"u.x": {}}, "n": 2}}]));
                let after = client.sync(&[("since", &batch(&response))]).await;
                assert!(after.get("account_data").is_none() && after.get("rooms").is_none());
            }
        }
        client.put(&own("account_data/m.push_rules"), json!({})).await.refused(405, "M_BAD_JSON");
        client.put(&own(&format!("account_data/{}", "x".repeat(300))), json!({})).await.refused(400, "M_INVALID_PARAM");
        client.put(&own("rooms/!no:example.org/account_data/m.tag"), json!({})).await.refused(404, "M_NOT_FOUND");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_user_leaves_no_data() {
    on_both(Config::default(), async |mut harness: Harness| {
        for number in 0..2 {
            let id = user(number);
            harness.device(&id, "A").await;
            let client = harness.client(0, &id);
            let path = |rest: &str| format!("/_matrix/client/v3/user/{}/{rest}", escape(&id));
            client.put(&path("account_data/org.example.a"), json!({"n": 1})).await.ok();
            client.post(&path("filter"), json!({"room": {"timeline": {"limit": 7}}})).await.ok();
        }
        let db = harness.db.clone();
        let left = async |id: String| {
            let query = "select (select count(*) from account_data where user_id = $1)
                              + (select count(*) from filters where user_id = $1)";
            matrixon_store::sql!(db.read(), fetch_one as (i64,), query, id.as_str()).unwrap().0
        };
        assert_eq!((left(user(0)).await, left(user(1)).await), (2, 2));
        matrixon_store::exec!(db.write(), "update users set erased = true where user_id = $1", user(1)).unwrap();
        // a process tidies up when it starts
        harness.add_replica();
        let gone = async {
            while left(user(1)).await > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), gone).await.unwrap();
        assert_eq!(left(user(0)).await, 2);
        harness.shutdown.stop();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_reach_the_others_and_never_move_back() {
    on_both(Config { tail_bytes: 1_000, ..Config::default() }, async |harness: Harness| {
        let (mut world, other, client) = setup(&harness).await;
        let old = world.message(0, &user(0), "a").await;
        let new = world.message(0, &user(0), "b").await;
        let first = batch(&other.sync(&[]).await);
        let path =
            |kind: &str, id: &str| format!("/_matrix/client/v3/rooms/!r0:example.org/receipt/{kind}/{}", escape(id));
        client.post(&path("m.read", &new), json!({})).await.ok();
        client.post(&path("m.read", &old), json!({})).await.ok();
        client.post(&path("m.read", &old), json!({"thread_id": "main"})).await.ok();
        client.post(&path("m.read.private", &new), json!({})).await.ok();
        let expected = json!([{"type": "m.receipt", "content": {
            old.as_str(): {"m.read": {user(1): {"ts": 1_790_000_000_500_i64, "thread_id": "main"}}},
            new.as_str(): {"m.read": {user(1): {"ts": 1_790_000_000_500_i64}}},
        }}]);
        for replica in [0, 1] {
            for query in [vec![("since", first.as_str())], vec![]] {
                let response = harness.client(replica, &user(0)).sync(&query).await;
                assert_eq!(response["rooms"]["join"]["!r0:example.org"]["ephemeral"]["events"], expected);
            }
            let own = harness.client(replica, &user(1)).sync(&[]).await.to_string();
            assert!(own.contains("m.read.private"));
        }
        client.post(&path("m.read", "$nothing"), json!({})).await.refused(404, "M_NOT_FOUND");
        client.post(&path("m.read.else", &new), json!({})).await.refused(400, "M_INVALID_PARAM");
        client.post(&path("m.fully_read", &new), json!({"thread_id": "main"})).await.refused(400, "M_INVALID_PARAM");
        harness.client(0, &user(2)).post(&path("m.read", &new), json!({})).await.refused(403, "M_FORBIDDEN");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn read_markers_are_account_data_and_receipts() {
    on_both(Config::default(), async |harness: Harness| {
        let (mut world, _, client) = setup(&harness).await;
        let old = world.message(0, &user(0), "a").await;
        let new = world.message(0, &user(0), "b").await;
        let path = "/_matrix/client/v3/rooms/!r0:example.org/read_markers";
        client.post(path, json!({"m.fully_read": new, "m.read": new, "m.read.private": old})).await.ok();
        client.post(path, json!({"m.fully_read": old})).await.ok();
        let marker = client.get(&own("rooms/!r0:example.org/account_data/m.fully_read")).await.ok();
        assert_eq!(marker, json!({"event_id": new}));
        client.put(&own("rooms/!r0:example.org/account_data/m.fully_read"), json!({})).await.refused(405, "M_BAD_JSON");
        client.post(path, json!({})).await.ok();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_is_seen_on_every_replica_by_new_ones_too_and_ends() {
    let mut harness = Harness::sqlite(Config::default()).await;
    let (_world, other, client) = setup(&harness).await;
    let first = batch(&other.sync(&[]).await);
    let path = format!("/_matrix/client/v3/rooms/!r0:example.org/typing/{}", escape(&user(1)));
    client.put(&path, json!({"typing": true, "timeout": 30_000})).await.ok();
    let late = harness.add_replica();
    for replica in [0, 1, late] {
        let client = harness.client(replica, &user(0));
        let typing = client.sync(&[("since", &first), ("timeout", "5000")]).await;
        let events = &typing["rooms"]["join"]["!r0:example.org"]["ephemeral"]["events"];
        assert_eq!(events, &json!([{"type": "m.typing", "content": {"user_ids": [user(1)]}}]));
    }
    let typing = batch(&other.sync(&[("since", &first)]).await);
    harness.clock.advance(Duration::from_secs(31));
    let ended = other.sync(&[("since", &typing), ("timeout", "5000")]).await;
    let events = &ended["rooms"]["join"]["!r0:example.org"]["ephemeral"]["events"];
    assert_eq!(events, &json!([{"type": "m.typing", "content": {"user_ids": []}}]));
    harness.client(0, &user(2)).put(&path, json!({"typing": true})).await.refused(403, "M_FORBIDDEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_tokens_are_refused_and_tokens_of_the_future_do_not_hang() {
    let harness = Harness::sqlite(Config::default()).await;
    let (_world, _, client) = setup(&harness).await;
    for since in ["", "x", "m1_1_2_3", "s1_2", "m1_-1_0_0_0", "m1_999999_0_0_0", "m1_0_99999_0_0", "p5"] {
        let query = [("since", since), ("timeout", "30000")];
        client.try_sync(&query).await.refused(400, "M_INVALID_PARAM");
    }
    assert_eq!(client.try_sync(&[("timeout", "-1")]).await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn presence_and_push_rules_answer_the_truth() {
    let harness = Harness::sqlite(Config::default()).await;
    let (_world, _, client) = setup(&harness).await;
    let path = format!("/_matrix/client/v3/presence/{}/status", escape(&user(1)));
    client.put(&path, json!({"presence": "online"})).await.ok();
    assert_eq!(client.get(&path).await.ok()["presence"], "offline");
    let rules = client.get("/_matrix/client/v3/pushrules/").await.ok();
    assert_eq!(rules["global"]["override"][0]["rule_id"], ".m.rule.master");
    let global = client.get("/_matrix/client/v3/pushrules/global/").await.ok();
    assert_eq!(global, rules["global"]);
}
