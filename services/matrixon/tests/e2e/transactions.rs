//! A transaction id stands for one event, whoever is asked and however often.

use std::collections::HashSet;

use anyhow::Result;
use futures::future::try_join_all;
use matrixon_testkit::{
    client::{escape, next_txn_id, room_path},
    tests,
};
use serde_json::{Value, json};

use crate::env::{Env, Shared, bodies, read_history, timeline};

tests![Env: a_repeated_transaction_is_one_event, simultaneous_transactions_are_one_event, other_devices_have_their_own,
    the_sending_device_is_told, many_senders_lose_nothing, redaction_transactions_too,
    redactions_have_a_scope_of_their_own];

fn message(text: &str) -> Value {
    json!({ "msgtype": "m.text", "body": text })
}

async fn a_repeated_transaction_is_one_event(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let room = env.room(&alice, &[]).await?;
    let txn = next_txn_id();
    let mut ids = HashSet::new();
    for gateway in 0..alice.gateways() * 2 {
        ids.insert(alice.pinned(gateway).send_content(&room, &txn, &message("once")).await?);
    }
    assert_eq!(ids.len(), 1, "{ids:?}");
    let history = read_history(&alice, &room, 'b', 50).await?;
    assert_eq!(bodies(&history), ["once"]);
    Ok(())
}

async fn simultaneous_transactions_are_one_event(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let room = env.room(&alice, &[]).await?;
    for round in 0..20 {
        let (txn, content) = (next_txn_id(), message(&round.to_string()));
        let clients: Vec<_> = (0..4).map(|gateway| alice.pinned(gateway)).collect();
        let ids = try_join_all(clients.iter().map(|client| client.send_content(&room, &txn, &content))).await?;
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 1, "round {round}: {ids:?}");
    }
    let history = read_history(&alice, &room, 'f', 50).await?;
    let wanted: Vec<String> = (0..20).map(|round| round.to_string()).collect();
    assert_eq!(bodies(&history), wanted);
    Ok(())
}

async fn other_devices_have_their_own(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let second = alice.login(alice.localpart()).await?;
    let bob = env.user("bob").await?;
    let room = env.room(&alice, &[&bob]).await?;
    let other = env.room(&alice, &[]).await?;
    let txn = next_txn_id();
    let mut ids = HashSet::new();
    for client in [&alice, &second, &bob] {
        ids.insert(client.send_content(&room, &txn, &message("mine")).await?);
    }
    ids.insert(alice.send_content(&other, &txn, &message("another room")).await?);
    assert_eq!(ids.len(), 4, "{ids:?}");
    Ok(())
}

async fn the_sending_device_is_told(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let second = alice.login(alice.localpart()).await?;
    let bob = env.user("bob").await?;
    let room = env.room(&alice, &[&bob]).await?;
    let txn = next_txn_id();
    let event_id = alice.send_content(&room, &txn, &message("hello")).await?;
    for (client, wanted) in [(&alice, Some(txn.as_str())), (&second, None), (&bob, None)] {
        let (event, _) = client
            .sync_until(None, |sync| {
                timeline(sync, &room).iter().find(|event| event["event_id"] == event_id.as_str()).cloned()
            })
            .await?;
        assert_eq!(event["unsigned"]["transaction_id"].as_str(), wanted, "{} {event}", client.user_id);
    }
    Ok(())
}

async fn many_senders_lose_nothing(env: Shared) -> Result<()> {
    let owner = env.user("owner").await?;
    let senders = try_join_all((0..5).map(|_| env.user("sender"))).await?;
    let room = env.room(&owner, &senders.iter().collect::<Vec<_>>()).await?;
    let sending = senders.iter().map(|sender| async {
        let mut ids = Vec::new();
        for number in 0..20 {
            ids.push(sender.send(&room, &number.to_string()).await?);
        }
        anyhow::Ok(ids)
    });
    let sent = try_join_all(sending).await?;
    let history = read_history(&owner, &room, 'f', 30).await?;
    for (sender, ids) in senders.iter().zip(sent) {
        let own = history.iter().filter(|event| event["sender"] == sender.user_id.as_str());
        let seen: Vec<&str> = own
            .filter(|event| event["type"] == "m.room.message")
            .filter_map(|event| event["event_id"].as_str())
            .collect();
        assert_eq!(seen, ids, "each once, in the sender's order");
    }
    Ok(())
}

async fn redaction_transactions_too(env: Shared) -> Result<()> {
    use matrixon_testkit::client::{escape, room_path};
    let alice = env.user("alice").await?;
    let room = env.room(&alice, &[]).await?;
    let event_id = alice.send(&room, "gone").await?;
    let path = room_path(&room, &format!("redact/{}/{}", escape(&event_id), next_txn_id()));
    let first = alice.put(&path, &json!({})).await?;
    let second = alice.put(&path, &json!({})).await?;
    assert_eq!(first["event_id"], second["event_id"]);
    Ok(())
}

/// A transaction id belongs to one endpoint: the specification's own example is `send` and `redact`.
async fn redactions_have_a_scope_of_their_own(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let room = env.room(&alice, &[]).await?;
    let txn = next_txn_id();
    let first = alice.send_content(&room, &txn, &message("first")).await?;
    let second = alice.send(&room, "second").await?;
    let mut ids = HashSet::from([first.clone()]);
    for _ in 0..2 {
        for target in [&first, &second] {
            let path = room_path(&room, &format!("redact/{}/{txn}", escape(target)));
            let redaction = alice.put(&path, &json!({})).await?;
            ids.insert(redaction["event_id"].as_str().unwrap_or_default().to_owned());
        }
    }
    assert_eq!(ids.len(), 3, "{ids:?}");
    let history = read_history(&alice, &room, 'b', 50).await?;
    assert_eq!(bodies(&history), [""; 0], "both are redacted");
    let redactions = history.iter().filter(|event| event["type"] == "m.room.redaction");
    assert!(redactions.clone().all(|event| event["unsigned"]["transaction_id"] == txn.as_str()), "{history:?}");
    assert_eq!(redactions.count(), 2);
    Ok(())
}
