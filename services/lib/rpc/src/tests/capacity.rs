use futures::future::join_all;
use tokio::time::Instant;

use super::*;
use crate::{breaker::Breaker, budget::Budget};

#[tokio::test]
async fn thousands_of_long_polls_fit_on_one_replica() {
    const POLLS: usize = 10_000;
    let a = TestReplica::start().await;
    let peers = ready_peers(&[&a]).await;
    let rpc = peers.role(Role::Room);
    let polls: Vec<_> = (0..POLLS)
        .map(|_| {
            let rpc = rpc.clone();
            tokio::spawn(async move { text(&rpc, get("/park")).await })
        })
        .collect();
    a.wait_begun(POLLS).await;
    let status = &peers.replicas(Role::Room)[0];
    assert_eq!(status.in_flight, POLLS);
    assert!((POLLS / 200..=POLLS / 100).contains(&status.connections), "{}", status.connections);
    // Short calls do not wait behind them.
    assert_eq!(text(&rpc, post("/echo", "{}")).await, a.behaviour.name);
    a.behaviour.release.send_replace(true);
    for poll in join_all(polls).await {
        assert_eq!(poll.unwrap(), a.behaviour.name);
    }
    assert_eq!(peers.replicas(Role::Room)[0].in_flight, 0);
}

#[tokio::test]
async fn calls_that_are_given_up_leave_nothing_behind() {
    let a = TestReplica::start().await;
    let peers = ready_peers(&[&a]).await;
    let rpc = peers.role(Role::Room);
    for round in 1..=5 {
        let polls: Vec<_> = (0..300)
            .map(|_| {
                let rpc = rpc.clone();
                tokio::spawn(async move { text(&rpc, get("/park")).await })
            })
            .collect();
        a.wait_begun(round * 300).await;
        for poll in &polls {
            poll.abort();
        }
        join_all(polls).await;
        assert_eq!(peers.replicas(Role::Room)[0].in_flight, 0);
    }
    assert!(peers.replicas(Role::Room)[0].connections <= 4);
    assert_eq!(text(&rpc, post("/echo", "{}")).await, a.behaviour.name);
}

#[tokio::test]
async fn a_large_body_passes_in_both_directions() {
    let a = TestReplica::start().await;
    let peers = ready_peers(&[&a]).await;
    let chunks = (0..64).map(|_| Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from(vec![7; 100_000]))));
    let body = Body::new(http_body_util::StreamBody::new(futures::stream::iter(chunks)));
    let router = Router::new().route(
        "/size",
        any(|body: axum::body::Body| async { http_body_util::BodyExt::collect(body).await.unwrap().to_bytes() }),
    );
    let b = TestReplica::start_at("127.0.0.1:0".parse().unwrap(), router).await;
    drop((a, peers));
    let peers = ready_peers(&[&b]).await;
    let response = peers.role(Role::Room).oneshot(Request::post("/size").body(body).unwrap()).await.unwrap();
    let echoed = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    assert_eq!(echoed.len(), 6_400_000);
}

#[tokio::test(start_paused = true)]
async fn five_failures_open_the_breaker_and_one_call_tries_again() {
    let breaker = Breaker::default();
    for _ in 0..4 {
        breaker.failed();
    }
    assert!(breaker.blocked_until().is_none());
    breaker.failed();
    let until = breaker.blocked_until().unwrap();
    assert_eq!(until - Instant::now(), Duration::from_secs(1));
    tokio::time::advance(Duration::from_millis(1001)).await;
    assert!(breaker.blocked_until().is_none());
    breaker.enter();
    assert!(breaker.blocked_until().is_some(), "one at a time");
    breaker.succeeded();
    assert!(breaker.blocked_until().is_none());
}

#[tokio::test(start_paused = true)]
async fn retries_are_a_fifth_of_the_traffic_and_ten_a_second() {
    let budget = Budget::new();
    let drain = |budget: &Budget| (0..10_000).take_while(|_| budget.withdraw()).count();
    assert_eq!(drain(&budget), 10);
    tokio::time::advance(Duration::from_mins(1)).await;
    assert_eq!(drain(&budget), 10);
    for _ in 0..1000 {
        budget.deposit();
    }
    assert!((199..=200).contains(&drain(&budget)));
}
