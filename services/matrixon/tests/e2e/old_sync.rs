//! The first client API: `/events`, `/initialSync`, `/rooms/{roomId}/initialSync`.

use anyhow::{Context as _, Result};
use matrixon_testkit::{
    client::{Client, Method, escape, room_path},
    tests,
};
use serde_json::{Value, json};

use crate::env::{Env, Shared, bodies, expect_error, find_state, list};

tests![Env: the_stream_tells_what_is_new, the_stream_of_one_room, initial_sync_shows_everything,
    initial_sync_of_a_room, strangers_see_nothing, bad_questions_are_refused, one_event_by_its_id];

const EVENTS: &str = "/_matrix/client/v3/events";
const INITIAL: &str = "/_matrix/client/v3/initialSync";

fn end(answer: &Value) -> Result<String> {
    Ok(escape(answer["end"].as_str().context("no `end`")?))
}

async fn put_data(user: &Client, room: Option<&str>, content: &Value) -> Result<()> {
    let room = room.map(|room| format!("/rooms/{}", escape(room))).unwrap_or_default();
    let path = format!("/_matrix/client/v3/user/{}{room}/account_data/org.example.a", escape(&user.user_id));
    user.put(&path, content).await?;
    Ok(())
}

async fn the_stream_tells_what_is_new(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    let start = alice.get(&format!("{EVENTS}?timeout=0")).await?;
    assert!(start["chunk"] == json!([]) && start["start"].is_string(), "{start}");

    let from = end(&start)?;
    let path = format!("/_matrix/client/r0/events?timeout=20000&from={from}");
    let (waited, sent) = tokio::join!(alice.get(&path), bob.send(&room, "hello"));
    let (waited, sent) = (waited?, sent?);
    let [event] = list(&waited, "/chunk") else { panic!("{waited}") };
    assert_eq!((&event["event_id"], &event["room_id"]), (&json!(sent), &json!(room)), "{waited}");
    put_data(&alice, None, &json!({ "n": 1 })).await?;
    put_data(&alice, Some(&room), &json!({ "n": 2 })).await?;
    let invited = bob.create_room(&json!({ "invite": [alice.user_id] })).await?;
    let news = alice.get(&format!("{EVENTS}?timeout=0&from={}", end(&waited)?)).await?;
    let has = |kind: &str, room: Option<&str>, content: &Value| {
        list(&news, "/chunk").iter().any(|event| {
            event["type"] == kind && event["room_id"].as_str() == room && event["content"]["n"] == content["n"]
        })
    };
    assert!(has("org.example.a", None, &json!({ "n": 1 })), "{news}");
    assert!(has("org.example.a", Some(&room), &json!({ "n": 2 })), "{news}");
    assert!(has("m.room.member", Some(&invited), &json!({})), "{news}");
    // nothing is told twice
    let again = alice.get(&format!("{EVENTS}?timeout=0&from={}", end(&news)?)).await?;
    assert!(list(&again, "/chunk").is_empty(), "{again}");
    Ok(())
}

async fn the_stream_of_one_room(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let (room, other) = (env.room(&alice, &[&bob]).await?, env.room(&alice, &[&bob]).await?);
    let from = end(&alice.get(&format!("{EVENTS}?timeout=0")).await?)?;
    bob.send(&room, "here").await?;
    bob.send(&other, "there").await?;
    let news = alice.get(&format!("{EVENTS}?timeout=0&from={from}&room_id={}", escape(&room))).await?;
    assert_eq!(bodies(list(&news, "/chunk")), ["here"], "{news}");
    Ok(())
}

async fn initial_sync_shows_everything(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = alice.create_room(&json!({ "preset": "public_chat", "visibility": "public", "name": "All" })).await?;
    bob.join(&room).await?;
    let left = env.room(&alice, &[&bob]).await?;
    bob.leave(&left).await?;
    let invited = alice.create_room(&json!({ "invite": [bob.user_id] })).await?;
    for n in 0..5 {
        alice.send(&room, &n.to_string()).await?;
    }
    put_data(&bob, None, &json!({ "n": 1 })).await?;
    put_data(&bob, Some(&room), &json!({ "n": 2 })).await?;
    let newest = alice.send(&room, "read me").await?;
    bob.post(&room_path(&room, &format!("receipt/m.read/{}", escape(&newest))), &json!({})).await?;
    let all = bob.get(&format!("{INITIAL}?limit=3")).await?;
    let of = |all: &Value, id: &str| list(all, "/rooms").iter().find(|room| room["room_id"] == id).cloned();
    let joined = of(&all, &room).context("the joined room")?;
    assert_eq!((&joined["membership"], &joined["visibility"]), (&json!("join"), &json!("public")), "{joined}");
    assert_eq!(bodies(list(&joined, "/messages/chunk")), ["3", "4", "read me"], "{joined}");
    assert!(find_state(list(&joined, "/state"), "m.room.name", "").is_some(), "{joined}");
    assert!(find_state(list(&joined, "/state"), "m.room.member", &bob.user_id).is_some(), "{joined}");
    assert!(list(&joined, "/state").iter().all(|event| event["room_id"] == room.as_str()), "{joined}");
    assert_eq!(joined["account_data"], json!([{ "type": "org.example.a", "content": { "n": 2 } }]));
    let data = list(&all, "/account_data");
    assert!(data.iter().any(|event| event["type"] == "org.example.a" && event["content"]["n"] == 1), "{all}");
    let receipt = list(&all, "/receipts").iter().find(|event| event["room_id"] == room.as_str());
    assert!(receipt.context("a receipt")?["content"][&newest]["m.read"][&bob.user_id].is_object(), "{all}");
    let invitation = of(&all, &invited).context("the invitation")?;
    assert_eq!((&invitation["membership"], &invitation["inviter"]), (&json!("invite"), &json!(alice.user_id)));
    assert_eq!(invitation["invite"]["content"]["membership"], "invite");
    assert!(of(&all, &left).is_none(), "{all}");
    let archived = bob.get(&format!("{INITIAL}?archived=true")).await?;
    assert_eq!(of(&archived, &left).context("the left room")?["membership"], "leave");
    // both ends of the messages are places in the room's history
    for (name, dir, expected) in [("start", "b", "2"), ("end", "f", "after")] {
        if dir == "f" {
            alice.send(&room, "after").await?;
        }
        let from = joined["messages"][name].as_str().context("a token")?;
        let page = bob.messages(&room, dir.chars().next().context("a direction")?, Some(from), 1).await?;
        assert_eq!(bodies(list(&page, "/chunk")), [expected], "{page}");
    }
    // and the end is where the stream goes on
    let news = bob.get(&format!("{EVENTS}?timeout=0&from={}", end(&all)?)).await?;
    assert_eq!(bodies(list(&news, "/chunk")), ["after"], "{news}");
    Ok(())
}

async fn initial_sync_of_a_room(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    put_data(&bob, Some(&room), &json!({ "n": 2 })).await?;
    alice.send(&room, "one").await?;
    let path = room_path(&room, "initialSync");
    let shown = bob.get(&path).await?;
    assert_eq!((&shown["room_id"], &shown["membership"]), (&json!(room), &json!("join")), "{shown}");
    assert!(bodies(list(&shown, "/messages/chunk")).contains(&"one"), "{shown}");
    assert_eq!(shown["account_data"], json!([{ "type": "org.example.a", "content": { "n": 2 } }]));
    assert!(shown["presence"].is_array() && shown["receipts"].is_array(), "{shown}");
    // without messages, going back begins at the end
    let none = bob.get(&format!("{path}?limit=0")).await?["messages"].take();
    assert!(list(&none, "/chunk").is_empty() && none["start"] == none["end"], "{none}");
    let page = bob.messages(&room, 'b', none["start"].as_str(), 1).await?;
    assert_eq!(bodies(list(&page, "/chunk")), ["one"], "{page}");
    bob.leave(&room).await?;
    alice.send(&room, "two").await?;
    let shown = bob.get(&path).await?;
    assert_eq!(shown["membership"], "leave");
    let said = bodies(list(&shown, "/messages/chunk"));
    assert!(said.contains(&"one") && !said.contains(&"two"), "{shown}");
    alice.post(&room_path(&room, "ban"), &json!({ "user_id": bob.user_id })).await?;
    assert_eq!(bob.get(&path).await?["membership"], "ban");
    Ok(())
}

async fn strangers_see_nothing(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[]).await?;
    let path = room_path(&room, "initialSync");
    expect_error(&bob.request(Method::GET, &path, None).await?, 403, "M_FORBIDDEN");
    let event = alice.send(&room, "secret").await?;
    let path = format!("{EVENTS}/{}", escape(&event));
    expect_error(&bob.request(Method::GET, &path, None).await?, 404, "M_NOT_FOUND");
    Ok(())
}

async fn bad_questions_are_refused(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    for query in ["from=nonsense", "timeout=soon", "from=m1_999999999_0_0_0_0_0"] {
        let reply = alice.request(Method::GET, &format!("{EVENTS}?{query}"), None).await?;
        expect_error(&reply, 400, "M_INVALID_PARAM");
    }
    let reply = alice.request(Method::GET, &format!("{INITIAL}?limit=-1"), None).await?;
    expect_error(&reply, 400, "M_INVALID_PARAM");
    for path in [EVENTS, INITIAL] {
        expect_error(&env.nobody().request(Method::GET, path, None).await?, 401, "M_MISSING_TOKEN");
    }
    Ok(())
}

async fn one_event_by_its_id(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    let event = alice.send(&room, "one").await?;
    let path = format!("{EVENTS}/{}", escape(&event));
    let shown = bob.get(&path).await?;
    assert_eq!((&shown["event_id"], &shown["room_id"]), (&json!(event), &json!(room)), "{shown}");
    assert_eq!(shown["content"]["body"], "one");
    let unknown = format!("{EVENTS}/$unknown");
    expect_error(&bob.request(Method::GET, &unknown, None).await?, 404, "M_NOT_FOUND");
    Ok(())
}
