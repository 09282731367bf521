//! The user directory: who is found by whom, and how.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use matrixon_testkit::{
    client::{Client, Method, escape, unique},
    tests,
};
use serde_json::{Value, json};

use crate::env::{Env, Shared, expect_error, list};

tests![Env: users_are_found_by_shared_and_public_rooms, rooms_open_and_close, names_are_folded_and_cut, results_are_ranked_and_limited,
    strange_searches];

const SEARCH: &str = "/_matrix/client/v3/user_directory/search";

async fn search(client: &Client, term: &str) -> Result<Vec<Value>> {
    let found = client.post(SEARCH, &json!({ "search_term": term, "limit": 50 })).await?;
    assert!(found["limited"].is_boolean(), "{found}");
    Ok(list(&found, "/results").to_vec())
}

async fn finds(client: &Client, term: &str, other: &Client) -> Result<bool> {
    Ok(search(client, term).await?.iter().any(|user| user["user_id"] == other.user_id.as_str()))
}

/// The directory knows a new name within a second; it may take longer only when the machine is busy with other tests.
async fn until_found(client: &Client, term: &str, other: &Client) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(20);
    while !finds(client, term, other).await? {
        ensure!(Instant::now() < end, "{} is not found by {term:?}", other.user_id);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn set_name(client: &Client, name: &str) -> Result<()> {
    let path = format!("/_matrix/client/v3/profile/{}/displayname", escape(&client.user_id));
    client.put(&path, &json!({ "displayname": name })).await.map(|_| ())
}

async fn users_are_found_by_shared_and_public_rooms(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let stranger = env.user("stranger").await?;
    let name = unique("Zebedee");
    set_name(&alice, &name).await?;
    env.room(&alice, &[&bob]).await?;
    until_found(&bob, &name, &alice).await?;
    assert!(!finds(&stranger, &name, &alice).await?, "a private room is nobody else's business");
    assert!(!finds(&alice, &name, &alice).await?, "nobody shares a room with oneself");

    let public = alice.create_room(&json!({ "preset": "public_chat" })).await?;
    assert!(finds(&stranger, &name, &alice).await?, "everybody finds who is in a public room");
    assert!(finds(&alice, &name, &alice).await?);
    alice.leave(&public).await?;
    assert!(!finds(&stranger, &name, &alice).await?);

    let found = search(&bob, &name).await?;
    assert_eq!(found[0], json!({ "user_id": alice.user_id, "display_name": name }));
    let renamed = unique("Florence");
    set_name(&alice, &renamed).await?;
    until_found(&bob, &renamed, &alice).await?;
    assert!(!finds(&bob, &name, &alice).await?, "the old name leads nowhere");
    Ok(())
}

async fn rooms_open_and_close(env: Shared) -> Result<()> {
    let (alice, stranger) = env.pair().await?;
    let name = unique("Dougal");
    set_name(&alice, &name).await?;
    let room = alice.create_room(&json!({ "preset": "private_chat" })).await?;
    let open_room = alice.create_room(&json!({ "preset": "public_chat" })).await?;
    until_found(&stranger, &name, &alice).await?;
    alice.leave(&open_room).await?;
    assert!(!finds(&stranger, &name, &alice).await?);
    let rule = |rule: &str| json!({ "join_rule": rule });
    let history = |word: &str| json!({ "history_visibility": word });
    // every change counts from the answer on, whichever replica is asked
    for (kind, content, expected) in [
        ("m.room.join_rules", rule("public"), true),
        ("m.room.history_visibility", history("world_readable"), true),
        ("m.room.join_rules", rule("invite"), true),
        ("m.room.history_visibility", history("shared"), false),
        ("m.room.history_visibility", history("world_readable"), true),
        ("m.room.history_visibility", history("joined"), false),
    ] {
        alice.set_state(&room, kind, "", &content).await?;
        for _ in 0..stranger.gateways() {
            assert_eq!(finds(&stranger, &name, &alice).await?, expected, "{kind} {content}");
        }
    }
    Ok(())
}

async fn names_are_folded_and_cut(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    env.room(&alice, &[&bob]).await?;
    let tag = unique("q");
    set_name(&alice, &format!("J\u{fc}rgen Stra\u{df}e-{tag} \u{5c71}\u{7530}\u{592a}\u{90ce}")).await?;
    until_found(&bob, &tag, &alice).await?;
    let localpart = alice.localpart().to_owned();
    for term in [
        "jurgen",
        "J\u{dc}RG",
        "Ju\u{308}rgen stra",
        "STRASSE",
        "\u{ff4a}\u{ff55}\u{ff52}",
        "stras jur",
        "\u{5c71}\u{7530}",
        "\u{592a}\u{90ce}",
        "\u{7530}\u{592a} jurgen",
        &localpart,
        &format!("@{localpart}"),
        &alice.user_id,
        &alice.user_id[1..],
        &localpart.to_uppercase(),
    ] {
        assert!(finds(&bob, term, &alice).await?, "{term}");
    }
    for term in ["urgen", "\u{90ce}\u{592a}", "jurgen smith", ""] {
        assert!(!finds(&bob, term, &alice).await?, "{term}");
    }
    Ok(())
}

async fn results_are_ranked_and_limited(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let word = unique("Ermintrude").replace('-', "");
    let mut users = Vec::new();
    for name in [format!("The {word}"), format!("{word} Junior"), word.clone()] {
        let user = env.user("ranked").await?;
        set_name(&user, &name).await?;
        users.push(user);
    }
    let public = alice.create_room(&json!({ "preset": "public_chat" })).await?;
    for user in &users {
        user.join(&public).await?;
        until_found(&bob, &word, user).await?;
    }
    let found = bob.post(SEARCH, &json!({ "search_term": word, "limit": 2 })).await?;
    let ids: Vec<_> = list(&found, "/results").iter().map(|user| user["user_id"].clone()).collect();
    assert_eq!(ids, [json!(users[2].user_id), json!(users[1].user_id)], "exact, then beginning: {found}");
    assert_eq!(found["limited"], true);
    let found = bob.post(SEARCH, &json!({ "search_term": word })).await?;
    assert_eq!((list(&found, "/results").len(), &found["limited"]), (3, &json!(false)), "{found}");
    assert_eq!(bob.post(SEARCH, &json!({ "search_term": word })).await?, found, "the same order every time");
    Ok(())
}

async fn strange_searches(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let ask = async |body: Value| alice.request(Method::POST, SEARCH, Some(&body)).await;
    for term in [
        "%",
        "_",
        "\\",
        "'\"",
        "\u{10ffff}",
        "\u{202e}",
        "\u{300}",
        "@",
        ":",
        "@:",
        "!",
        &"x".repeat(100_000),
        &"\u{5c71}".repeat(50_000),
    ] {
        let reply = ask(json!({ "search_term": term })).await?;
        assert_eq!(reply.status, 200, "{}", reply.text);
    }
    for limit in [0_i64, 1, 1_000_000_000, 9_007_199_254_740_991] {
        let reply = ask(json!({ "search_term": "a", "limit": limit })).await?;
        assert_eq!(reply.status, 200, "{limit}: {}", reply.text);
    }
    for body in [
        json!({}),
        json!({ "search_term": 7 }),
        json!({ "search_term": "a", "limit": -1 }),
        json!({ "search_term": "a\0" }),
    ] {
        let reply = ask(body.clone()).await?;
        assert_eq!(reply.status, 400, "{body}: {}", reply.text);
    }
    let reply = env.nobody().request(Method::POST, SEARCH, Some(&json!({ "search_term": "a" }))).await?;
    expect_error(&reply, 401, "M_MISSING_TOKEN");
    Ok(())
}
