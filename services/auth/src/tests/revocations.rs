//! The stream `revocations` as gateways read it.

use matrixon_bus::BusEvent;
use matrixon_proto::bus::v1::{Bell, RevocationItem};
use matrixon_store::{exec, sql};
use prost::Message as _;
use serde_json::json;

use super::{Harness, on_both};
use crate::{store::revocations, tests::harness::open};

async fn log_out_times(server: &Harness, times: usize) {
    for _ in 0..times {
        let login = server.login("alice", json!({})).await.ok();
        server.post("/v3/logout", login["access_token"].as_str(), json!({})).await.ok();
    }
}

#[tokio::test]
async fn the_position_of_an_answer_precedes_every_later_end() {
    on_both(open(), |server| async move {
        let token = server.register("alice").await;
        log_out_times(&server, 2).await;
        let answer = server.authenticate(&token).await.unwrap();
        assert_eq!(answer.revocations_position, 2);
        server.post("/v3/logout", Some(&token), json!({})).await.ok();
        let later = server.revocations(answer.revocations_position).await;
        assert_eq!((later.position, later.revocations.len(), later.gap), (3, 1, false));
        assert_eq!(later.revocations[0].device_id, answer.device_id);
    })
    .await;
}

#[tokio::test]
async fn pages_gaps_and_pruning() {
    on_both(open(), |server| async move {
        server.register("alice").await;
        assert_eq!(server.revocations(-1).await.position, 0);
        log_out_times(&server, 5).await;
        let request = matrixon_proto::auth::v1::ListRevocationsRequest { since: 1, limit: 2 };
        let page = server.rpc().list_revocations(request).await.unwrap().into_inner();
        assert_eq!((page.position, page.revocations.len(), page.gap), (3, 2, false));
        assert_eq!(server.revocations(5).await.revocations.len(), 0);
        let future = server.revocations(99).await;
        assert!(future.gap && future.position == 5);

        server.clock.advance(std::time::Duration::from_hours(1));
        log_out_times(&server, 2).await;
        let cutoff_ms = server.clock.now_ms() - 1_000;
        assert_eq!(revocations::prune_revocations(&server.db, cutoff_ms, 3).await.unwrap(), 3);
        assert_eq!(revocations::prune_revocations(&server.db, cutoff_ms, 3).await.unwrap(), 2);
        assert_eq!(revocations::prune_revocations(&server.db, cutoff_ms, 3).await.unwrap(), 0);
        assert!(server.revocations(4).await.gap);
        let kept = server.revocations(5).await;
        assert_eq!((kept.position, kept.revocations.len(), kept.gap), (7, 2, false));

        assert_eq!(revocations::prune_revocations(&server.db, i64::MAX, 10).await.unwrap(), 2);
        assert!(server.revocations(6).await.gap);
        let current = server.revocations(7).await;
        assert!(!current.gap && current.position == 7);
    })
    .await;
}

#[tokio::test]
async fn a_young_row_keeps_the_older_ones_behind_it() {
    on_both(open(), |server| async move {
        server.register("alice").await;
        log_out_times(&server, 3).await;
        // clocks of replicas differ: the row in the middle says it is the oldest
        exec!(server.db.write(), "update revocations set created_ts = 0 where position = 2").unwrap();
        assert_eq!(revocations::prune_revocations(&server.db, 1, 10).await.unwrap(), 0);
        let (rows,) = sql!(server.db.read(), fetch_one as (i64,), "select count(*) from revocations").unwrap();
        assert_eq!(rows, 3);
    })
    .await;
}

#[tokio::test]
async fn the_bell_rings_after_the_commit() {
    on_both(open(), |server| async move {
        server.register("alice").await;
        let mut bells = server.bus.subscribe("matrixon.revocations.v1");
        assert_eq!(bells.next().await, BusEvent::Reset);
        log_out_times(&server, 1).await;
        let BusEvent::Message { payload, .. } = bells.next().await else { panic!("no bell") };
        let bell = Bell::decode(payload).unwrap();
        assert_eq!((bell.stream.as_str(), bell.first, bell.last), ("revocations", 1, 1));
        let item = RevocationItem::decode(bell.items[0].clone()).unwrap();
        assert_eq!((item.position, item.user_id.as_str()), (1, "@alice:example.org"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_let_in_is_revoked_later_in_the_stream() {
    on_both(open(), |server| async move {
        server.register("alice").await;
        let server = std::sync::Arc::new(server);
        let mut sessions = Vec::new();
        for _ in 0..8 {
            let token = server.login("alice", json!({})).await.ok()["access_token"].as_str().unwrap().to_owned();
            let asking = tokio::spawn({
                let (server, token) = (server.clone(), token.clone());
                async move {
                    let mut last = None;
                    while let Ok(answer) = server.authenticate(&token).await {
                        last = Some((answer.device_id, answer.revocations_position));
                    }
                    last
                }
            });
            sessions.push((token, asking));
        }
        for (token, _) in &sessions {
            server.post("/v3/logout", Some(token), json!({})).await.ok();
        }
        let revoked = server.revocations(0).await.revocations;
        for (_, asking) in sessions {
            let Some((device_id, position)) = asking.await.unwrap() else { continue };
            let end = revoked.iter().find(|revocation| revocation.device_id == device_id).unwrap();
            assert!(end.position > position, "{} is not after {position}", end.position);
        }
    })
    .await;
}
