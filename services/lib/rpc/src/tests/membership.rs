use super::*;
use crate::{AffinityKey, select};

#[tokio::test]
async fn a_draining_replica_gets_no_new_calls_and_finishes_the_old_ones() {
    let (a, b) = (TestReplica::start().await, TestReplica::start().await);
    let peers = ready_peers(&[&a, &b]).await;
    let rpc = peers.role(Role::Room);
    let parked: Vec<_> = (0..20)
        .map(|key| {
            let mut request = get("/park");
            request.extensions_mut().insert(AffinityKey(key));
            let rpc = rpc.clone();
            tokio::spawn(async move { text(&rpc, request).await })
        })
        .collect();
    let mut begun = (a.behaviour.begun.subscribe(), b.behaviour.begun.subscribe());
    while a.begun() + b.begun() < 20 {
        tokio::select! { _ = begun.0.changed() => {}, _ = begun.1.changed() => {} }
    }
    let (on_a, on_b) = (a.begun(), b.begun());
    assert!(on_a > 0 && on_b > 0, "{on_a} {on_b}");
    a.behaviour.ready.store(false, Ordering::SeqCst);
    wait_for(&peers, |peers| state_of(peers, &a) == Some(ReplicaState::Draining)).await;
    for _ in 0..50 {
        assert_eq!(text(&rpc, post("/echo", "{}")).await, b.behaviour.name);
    }
    assert_eq!(a.begun(), on_a);
    a.behaviour.release.send_replace(true);
    b.behaviour.release.send_replace(true);
    let mut answers = HashMap::new();
    for call in parked {
        *answers.entry(call.await.unwrap()).or_insert(0) += 1;
    }
    assert_eq!((answers[&a.behaviour.name], answers[&b.behaviour.name]), (on_a, on_b));
    // With nobody else left it is better than nothing.
    b.kill().await;
    wait_for(&peers, |peers| state_of(peers, &b) == Some(ReplicaState::Down)).await;
    assert_eq!(text(&rpc, post("/echo", "{}")).await, a.behaviour.name);
}

#[tokio::test]
async fn a_refusal_of_a_draining_replica_moves_even_a_post_to_another() {
    let (a, b) = (TestReplica::start().await, TestReplica::start().await);
    let peers = ready_peers(&[&a, &b]).await;
    a.behaviour.refusing.store(true, Ordering::SeqCst);
    for key in 0..20 {
        let mut request = post("/echo", "{}");
        request.extensions_mut().insert(AffinityKey(key));
        assert_eq!(text(&peers.role(Role::Room), request).await, b.behaviour.name);
    }
    assert_eq!((a.begun(), b.begun()), (0, 20));
}

#[tokio::test]
async fn callers_with_different_lists_agree_where_they_can() {
    let (a, b, c) = (TestReplica::start().await, TestReplica::start().await, TestReplica::start().await);
    let whole = ready_peers(&[&a, &b, &c]).await;
    let reversed = ready_peers(&[&c, &b, &a]).await;
    let partial = ready_peers(&[&a, &b]).await;
    for key in 0..60 {
        let mut chosen = Vec::new();
        for peers in [&whole, &reversed, &partial] {
            let mut request = post("/echo", "{}");
            request.extensions_mut().insert(AffinityKey(key));
            chosen.push(text(&peers.role(Role::Room), request).await);
        }
        assert_eq!(chosen[0], chosen[1]);
        if chosen[0] != c.behaviour.name {
            assert_eq!(chosen[0], chosen[2]);
        }
    }
    assert!([&a, &b, &c].iter().all(|replica| replica.begun() > 0));
}

#[tokio::test]
async fn calls_without_a_key_are_spread() {
    let (a, b) = (TestReplica::start().await, TestReplica::start().await);
    let peers = ready_peers(&[&a, &b]).await;
    for _ in 0..100 {
        text(&peers.role(Role::Room), post("/echo", "{}")).await;
    }
    assert_eq!(a.begun() + b.begun(), 100);
    assert!(a.begun() >= 10 && b.begun() >= 10, "{} {}", a.begun(), b.begun());
}

#[test]
fn a_key_moves_only_when_its_replica_leaves() {
    let names = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80", "10.0.0.5:80"];
    let seed = |name: &&str| select::stable_hash(name.as_bytes());
    let mut load = HashMap::new();
    for key in 0..10_000_u64 {
        let before = *select::rendezvous(key, &names, seed).unwrap();
        let after = *select::rendezvous(key, &names[1..], seed).unwrap();
        *load.entry(before).or_insert(0) += 1;
        assert!(before == after || before == names[0]);
    }
    assert!(load.values().all(|keys| (1_800..2_200).contains(keys)), "{load:?}");
}
