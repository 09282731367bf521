//! Whose devices a client has to look up again: `device_lists` in `/sync`, and `/keys/changes`.

use std::collections::BTreeSet;

use anyhow::Result;
use matrixon_testkit::{
    client::{Client, Method, SyncQuery, escape},
    tests,
};
use serde_json::{Value, json};

use crate::env::{Env, Shared, expect_error, list, sync_token};

tests![Env: who_comes_is_changed_and_who_goes_has_left, who_goes_elsewhere_has_not_left, an_encrypted_room_names_its_members,
    a_new_device_is_told, a_deleted_device_is_told, strangers_hear_nothing, changes_between_tokens];

fn names(sync: &Value, kind: &str) -> BTreeSet<String> {
    let users = list(sync, &format!("/device_lists/{kind}"));
    users.iter().filter_map(|user| user.as_str().map(ToOwned::to_owned)).collect()
}

/// Syncs until these are exactly the users that some answer names. Returns the token after it.
async fn await_users(client: &Client, since: &str, kind: &str, users: &[&Client]) -> Result<String> {
    let expected: BTreeSet<String> = users.iter().map(|user| user.user_id.clone()).collect();
    let ((), token) = client.sync_until(Some(since), |sync| (names(sync, kind) == expected).then_some(())).await?;
    Ok(token)
}

async fn who_comes_is_changed_and_who_goes_has_left(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[]).await?;
    let (mut of_alice, mut of_bob) = (sync_token(&alice).await?, sync_token(&bob).await?);
    for _ in 0..2 {
        alice.invite(&room, &bob.user_id).await?;
        bob.join(&room).await?;
        of_alice = await_users(&alice, &of_alice, "changed", &[&bob]).await?;
        of_bob = await_users(&bob, &of_bob, "changed", &[&alice]).await?;
        bob.leave(&room).await?;
        of_alice = await_users(&alice, &of_alice, "left", &[&bob]).await?;
        of_bob = await_users(&bob, &of_bob, "left", &[&alice]).await?;
    }
    Ok(())
}

async fn who_goes_elsewhere_has_not_left(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let first = env.room(&alice, &[&bob]).await?;
    let since = sync_token(&alice).await?;
    // a second room in common is no news, and leaving one of two is none either
    let second = env.room(&alice, &[&bob]).await?;
    bob.leave(&first).await?;
    let sync = alice.sync(&SyncQuery::since(&since)).await?;
    assert!(sync["rooms"]["join"][&second].is_object(), "{sync}");
    assert_eq!(names(&sync, "left"), BTreeSet::new(), "{sync}");
    bob.leave(&second).await?;
    await_users(&alice, sync["next_batch"].as_str().unwrap_or_default(), "left", &[&bob]).await?;
    Ok(())
}

async fn an_encrypted_room_names_its_members(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    let (of_alice, of_bob) = (sync_token(&alice).await?, sync_token(&bob).await?);
    let content = json!({ "algorithm": "m.megolm.v1.aes-sha2" });
    alice.set_state(&room, "m.room.encryption", "", &content).await?;
    let both = [&alice, &bob];
    await_users(&alice, &of_alice, "changed", &both).await?;
    await_users(&bob, &of_bob, "changed", &both).await?;
    Ok(())
}

async fn a_new_device_is_told(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    env.room(&alice, &[&bob]).await?;
    let (of_alice, of_bob) = (sync_token(&alice).await?, sync_token(&bob).await?);
    bob.login(bob.localpart()).await?;
    await_users(&alice, &of_alice, "changed", &[&bob]).await?;
    await_users(&bob, &of_bob, "changed", &[&bob]).await?;
    Ok(())
}

async fn a_deleted_device_is_told(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    env.room(&alice, &[&bob]).await?;
    let second = bob.login(bob.localpart()).await?;
    let (of_alice, of_bob) = (sync_token(&alice).await?, sync_token(&bob).await?);
    second.post("/_matrix/client/v3/logout", &json!({})).await?;
    await_users(&alice, &of_alice, "changed", &[&bob]).await?;
    await_users(&bob, &of_bob, "changed", &[&bob]).await?;
    Ok(())
}

async fn strangers_hear_nothing(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    bob.leave(&room).await?;
    let since = sync_token(&alice).await?;
    bob.login(bob.localpart()).await?;
    let sync = alice.sync(&SyncQuery::since(&since)).await?;
    assert!(sync["device_lists"].is_null(), "{sync}");
    // sharing a room again makes up for it
    alice.invite(&room, &bob.user_id).await?;
    bob.join(&room).await?;
    await_users(&alice, &since, "changed", &[&bob]).await?;
    Ok(())
}

async fn changes_between_tokens(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let first = sync_token(&alice).await?;
    let room = env.room(&alice, &[&bob]).await?;
    let second = sync_token(&alice).await?;
    bob.login(bob.localpart()).await?;
    let third = sync_token(&alice).await?;
    bob.leave(&room).await?;
    let fourth = sync_token(&alice).await?;
    let changes = |from: &str, to: &str| {
        let path = format!("/_matrix/client/v3/keys/changes?from={}&to={}", escape(from), escape(to));
        let alice = alice.clone();
        async move { alice.get(&path).await }
    };
    let (bob, nobody) = (json!([bob.user_id]), json!([]));
    assert_eq!(changes(&first, &second).await?, json!({ "changed": bob, "left": nobody }));
    assert_eq!(changes(&second, &second).await?, json!({ "changed": nobody, "left": nobody }));
    assert_eq!(changes(&third, &fourth).await?, json!({ "changed": nobody, "left": bob }));
    assert_eq!(changes(&first, &fourth).await?, json!({ "changed": nobody, "left": nobody }));
    let path = format!("/_matrix/client/v3/keys/changes?from=nonsense&to={}", escape(&fourth));
    expect_error(&alice.request(Method::GET, &path, None).await?, 400, "M_INVALID_PARAM");
    Ok(())
}
