use std::time::Instant;

use futures::future::join_all;

use super::*;
use crate::{AffinityKey, Buffered, Idempotent, Replayable, call_buffered};

/// A key whose first choice is this replica.
fn key_for(replica: &TestReplica, among: &[&TestReplica]) -> AffinityKey {
    let seeds: Vec<u64> =
        among.iter().map(|replica| crate::select::stable_hash(replica.address.to_string().as_bytes())).collect();
    let own = crate::select::stable_hash(replica.address.to_string().as_bytes());
    let key = (0..1000).find(|key| crate::select::rendezvous(*key, &seeds, |seed| *seed) == Some(&own));
    AffinityKey(key.unwrap())
}

fn to(replica: &TestReplica, among: &[&TestReplica], mut request: Request<Body>) -> Request<Body> {
    request.extensions_mut().insert(key_for(replica, among));
    request
}

#[tokio::test]
async fn a_dead_replica_is_out_at_once_and_comes_back() {
    let (a, b) = (TestReplica::start().await, TestReplica::start().await);
    let peers = ready_peers(&[&a, &b]).await;
    let started = Instant::now();
    a.kill().await;
    wait_for(&peers, |peers| state_of(peers, &a) == Some(ReplicaState::Down)).await;
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    let again = TestReplica::start_at(a.socket(), Router::new()).await;
    wait_for(&peers, |peers| state_of(peers, &again) == Some(ReplicaState::Ready)).await;
}

#[tokio::test]
async fn the_calls_in_flight_to_a_killed_replica_are_done_by_another() {
    let (a, b) = (TestReplica::start().await, TestReplica::start().await);
    let peers = ready_peers(&[&a, &b]).await;
    let rpc = peers.role(Role::Room);
    b.behaviour.release.send_replace(true);
    // More than the retry budget holds: the loss of a replica does not draw on it.
    let calls: Vec<_> = (0..500)
        .map(|_| {
            let mut request = to(&a, &[&a, &b], post("/park", ""));
            request.extensions_mut().insert(Replayable(Bytes::from_static(b"{}")));
            request.extensions_mut().insert(Idempotent);
            let rpc = rpc.clone();
            tokio::spawn(async move { text(&rpc, request).await })
        })
        .collect();
    a.wait_begun(500).await;
    a.kill().await;
    for answer in join_all(calls).await {
        assert_eq!(answer.unwrap(), b.behaviour.name);
    }
    assert_eq!(b.begun(), 500);
}

#[tokio::test]
async fn a_call_that_must_not_be_done_twice_is_not() {
    let (a, b) = (TestReplica::start().await, TestReplica::start().await);
    let peers = ready_peers(&[&a, &b]).await;
    let request = to(&a, &[&a, &b], post("/park", "{}"));
    let rpc = peers.role(Role::Room);
    let parked = tokio::spawn(async move { call(&rpc, request).await });
    a.wait_begun(1).await;
    a.kill().await;
    let error = timeout(LONG, parked).await.expect("an answer in time").unwrap().unwrap_err();
    assert!(matches!(error, RpcError::ConnectionLost { role: Role::Room, .. }), "{error}");
    assert_eq!(b.begun(), 0);
    // It is not done at all where nobody listens, so another replica may.
    let request = to(&a, &[&a, &b], post("/echo", "{}"));
    assert_eq!(text(&peers.role(Role::Room), request).await, b.behaviour.name);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_load_the_death_of_one_of_two_replicas_fails_nothing() {
    let (a, b) = (TestReplica::start().await, TestReplica::start().await);
    let peers = ready_peers(&[&a, &b]).await;
    let stop = CancellationToken::new();
    let callers: Vec<_> = (0..64_u64)
        .map(|caller| {
            let (rpc, stop) = (peers.role(Role::Room), stop.clone());
            tokio::spawn(async move {
                let mut done = 0;
                while !stop.is_cancelled() {
                    let mut request = post("/echo", "");
                    request.extensions_mut().insert(Replayable(Bytes::from_static(b"{\"some\":\"body\"}")));
                    request.extensions_mut().insert(AffinityKey(caller));
                    request.headers_mut().insert(crate::IDEMPOTENCY_KEY, "k".parse().unwrap());
                    let response = call_buffered(&rpc, request, 1 << 20).await.expect("no call fails");
                    assert_eq!(response.status(), StatusCode::OK);
                    done += 1;
                }
                done
            })
        })
        .collect();
    a.wait_begun(500).await;
    a.kill().await;
    let seen = b.begun();
    b.wait_begun(seen + 500).await;
    let a = TestReplica::start_at(a.socket(), Router::new()).await;
    a.wait_begun(500).await;
    b.kill().await;
    let seen = a.begun();
    a.wait_begun(seen + 500).await;
    stop.cancel();
    let done: usize = join_all(callers).await.into_iter().map(Result::unwrap).sum();
    assert!(done >= 1500, "{done}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replicas_that_close_in_order_fail_nothing_not_even_what_must_be_done_once() {
    let (a, b) = (TestReplica::start().await, TestReplica::start().await);
    let peers = ready_peers(&[&a, &b]).await;
    let stop = CancellationToken::new();
    let callers: Vec<_> = (0..32)
        .map(|_| {
            let (rpc, stop) = (peers.role(Role::Room), stop.clone());
            tokio::spawn(async move {
                let mut done = 0;
                while !stop.is_cancelled() {
                    text(&rpc, post("/echo", "{}")).await;
                    done += 1;
                }
                done
            })
        })
        .collect();
    let mut begun = 0;
    let mut a = a;
    for _ in 0..5 {
        a.wait_begun(300).await;
        // The worst case: no warning by /readyz before the GOAWAY.
        a.close().await;
        begun += a.begun();
        a = TestReplica::start_at(a.socket(), Router::new()).await;
    }
    stop.cancel();
    let done: usize = join_all(callers).await.into_iter().map(Result::unwrap).sum();
    assert_eq!(done, begun + a.begun() + b.begun(), "each was done once");
}

#[tokio::test]
async fn a_hung_replica_is_out_within_two_seconds_and_its_calls_are_done_elsewhere() {
    let (a, b) = (TestReplica::start().await, TestReplica::start().await);
    let peers = ready_peers(&[&a, &b]).await;
    let rpc = peers.role(Role::Room);
    b.behaviour.release.send_replace(true);
    let request = to(&a, &[&a, &b], get("/park"));
    let parked = tokio::spawn(async move { text(&rpc, request).await });
    a.wait_begun(1).await;
    let started = Instant::now();
    a.behaviour.hang.send_replace(true);
    wait_for(&peers, |peers| state_of(peers, &a) == Some(ReplicaState::Down)).await;
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert_eq!(parked.await.unwrap(), b.behaviour.name);
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    a.behaviour.hang.send_replace(false);
    wait_for(&peers, |peers| state_of(peers, &a) == Some(ReplicaState::Ready)).await;
}

#[tokio::test]
async fn a_listener_that_accepts_and_says_nothing_gets_no_calls() {
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let a = TestReplica::start().await;
    let mut config = config(&[&a]);
    config.room.push(mute.local_addr().unwrap().into());
    let peers = peers(config);
    wait_for(&peers, |peers| !peers.ready(Role::Room).is_empty()).await;
    for key in 0..20 {
        let mut request = get("/echo");
        request.extensions_mut().insert(AffinityKey(key));
        assert_eq!(text(&peers.role(Role::Room), request).await, a.behaviour.name);
    }
}

#[tokio::test]
async fn a_response_cut_in_the_middle_is_asked_for_again() {
    let (a, b) = (TestReplica::start().await, TestReplica::start().await);
    let peers = ready_peers(&[&a, &b]).await;
    b.behaviour.release.send_replace(true);
    let (rpc, request) = (peers.role(Role::Room), to(&a, &[&a, &b], get("/half")));
    let half = tokio::spawn(async move { call_buffered(&rpc, request, 1 << 10).await });
    a.wait_begun(1).await;
    a.kill().await;
    match half.await.unwrap().unwrap().into_body() {
        Buffered::Whole { data, .. } => assert_eq!(data, "first second"),
        Buffered::Streaming(_) => panic!("the body is short"),
    }
    assert_eq!(b.begun(), 1);
}

#[tokio::test]
async fn beyond_the_limit_a_body_streams_and_its_loss_is_seen() {
    let a = TestReplica::start().await;
    let peers = ready_peers(&[&a]).await;
    let response = call_buffered(&peers.role(Role::Room), get("/half"), 3).await.unwrap();
    let Buffered::Streaming(body) = response.into_body() else { panic!("six bytes are more than three") };
    assert_eq!(peers.replicas(Role::Room)[0].in_flight, 1);
    a.kill().await;
    let status = http_body_util::BodyExt::collect(body).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable);
    assert_eq!(peers.replicas(Role::Room)[0].in_flight, 0);
}

#[tokio::test]
async fn a_single_replica_that_restarts_costs_time_and_not_an_error() {
    let a = TestReplica::start().await;
    let peers = ready_peers(&[&a]).await;
    let rpc = peers.role(Role::Room);
    let parked = tokio::spawn({
        let rpc = rpc.clone();
        async move { text(&rpc, get("/park")).await }
    });
    a.wait_begun(1).await;
    a.kill().await;
    let late = tokio::spawn(async move { text(&rpc, post("/echo", "{}")).await });
    wait_for(&peers, |peers| state_of(peers, &a) == Some(ReplicaState::Down)).await;
    let again = TestReplica::start_at(a.socket(), Router::new()).await;
    again.behaviour.release.send_replace(true);
    assert_eq!(parked.await.unwrap(), again.behaviour.name);
    assert_eq!(late.await.unwrap(), again.behaviour.name);
}
