//! `/sync` by membership: invitations, rooms entered and left, what one may see of them.

use anyhow::Result;
use matrixon_testkit::{client::SyncQuery, tests};
use serde_json::{Value, json};

use crate::env::{Env, Shared, bodies, find_state, joined, list, sync_token, timeline};

tests![Env: an_invitation_arrives, a_joined_room_comes_whole, a_left_room_is_told, left_rooms_stay_away, a_kick_is_told,
    a_refused_invitation_goes, counts_follow, heroes_name_a_nameless_room, hidden_history_stays_hidden, rejoining_shows_the_room,
    events_tell_the_readers_membership];

fn next(sync: &Value) -> &str {
    sync["next_batch"].as_str().unwrap_or_default()
}

async fn an_invitation_arrives(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let since = sync_token(&bob).await?;
    let room = alice.create_room(&json!({ "name": "Come in", "invite": [bob.user_id] })).await?;
    let incremental = bob.sync(&SyncQuery::since(&since)).await?;
    let initial = bob.sync(&SyncQuery::default()).await?;
    for sync in [incremental, initial] {
        let state = list(&sync["rooms"]["invite"][&room], "/invite_state/events");
        let member =
            find_state(state, "m.room.member", &bob.user_id).unwrap_or_else(|| panic!("no invitation: {sync}"));
        assert_eq!((&member["content"]["membership"], &member["sender"]), (&json!("invite"), &json!(alice.user_id)));
        for (kind, key) in [("m.room.create", ""), ("m.room.join_rules", ""), ("m.room.name", "")] {
            let event = find_state(state, kind, key).unwrap_or_else(|| panic!("{kind} is missing: {sync}"));
            assert!(event["content"].is_object() && event["sender"].is_string(), "{event}");
        }
        assert!(joined(&sync, &room).is_null());
    }
    Ok(())
}

async fn a_joined_room_comes_whole(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = alice.create_room(&json!({ "preset": "public_chat", "name": "All" })).await?;
    alice.send(&room, "before").await?;
    let since = sync_token(&bob).await?;
    bob.join(&room).await?;
    let sync = bob.sync(&SyncQuery::since(&since)).await?;
    let part = joined(&sync, &room);
    let everything: Vec<Value> = list(part, "/state/events").iter().chain(timeline(&sync, &room)).cloned().collect();
    for (kind, key) in [("m.room.create", ""), ("m.room.name", ""), ("m.room.member", &*alice.user_id)] {
        assert!(find_state(&everything, kind, key).is_some(), "{kind} is missing: {sync}");
    }
    let own = find_state(timeline(&sync, &room), "m.room.member", &bob.user_id);
    assert_eq!(own.map(|event| &event["content"]["membership"]), Some(&json!("join")), "{sync}");
    assert!(bodies(timeline(&sync, &room)).contains(&"before"), "shared history comes along: {sync}");
    Ok(())
}

async fn a_left_room_is_told(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    let since = sync_token(&bob).await?;
    alice.send(&room, "last words").await?;
    bob.leave(&room).await?;
    alice.send(&room, "not for bob").await?;
    let sync = bob.sync(&SyncQuery::since(&since)).await?;
    let events = list(&sync["rooms"]["leave"][&room], "/timeline/events");
    assert_eq!(bodies(events), ["last words"], "{sync}");
    let own = find_state(events, "m.room.member", &bob.user_id).unwrap_or_else(|| panic!("{sync}"));
    assert_eq!(own["content"]["membership"], "leave");
    let later = bob.sync(&SyncQuery::since(next(&sync))).await?;
    assert!(later["rooms"]["leave"][&room].is_null() && joined(&later, &room).is_null(), "{later}");
    Ok(())
}

async fn left_rooms_stay_away(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    bob.leave(&room).await?;
    let sync = bob.sync(&SyncQuery::default()).await?;
    assert!(sync["rooms"]["leave"][&room].is_null(), "{sync}");
    let sync = bob.sync(&SyncQuery::default().filter(&json!({ "room": { "include_leave": true } }))).await?;
    assert!(sync["rooms"]["leave"][&room].is_object(), "{sync}");
    Ok(())
}

async fn a_kick_is_told(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    let since = sync_token(&bob).await?;
    let path = matrixon_testkit::client::room_path(&room, "kick");
    alice.post(&path, &json!({ "user_id": bob.user_id, "reason": "out" })).await?;
    let sync = bob.sync(&SyncQuery::since(&since)).await?;
    let events = list(&sync["rooms"]["leave"][&room], "/timeline/events");
    let own = find_state(events, "m.room.member", &bob.user_id).unwrap_or_else(|| panic!("{sync}"));
    assert_eq!((&own["content"]["reason"], &own["sender"]), (&json!("out"), &json!(alice.user_id)));
    Ok(())
}

async fn a_refused_invitation_goes(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = alice.create_room(&json!({ "invite": [bob.user_id] })).await?;
    let sync = bob.sync(&SyncQuery::default()).await?;
    assert!(sync["rooms"]["invite"][&room].is_object(), "{sync}");
    bob.leave(&room).await?;
    let sync = bob.sync(&SyncQuery::since(next(&sync))).await?;
    assert!(sync["rooms"]["leave"][&room].is_object(), "{sync}");
    let sync = bob.sync(&SyncQuery::default()).await?;
    assert!(sync["rooms"]["invite"][&room].is_null(), "{sync}");
    Ok(())
}

async fn counts_follow(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let carol = env.user("carol").await?;
    let room = env.room(&alice, &[]).await?;
    let since = sync_token(&alice).await?;
    alice.invite(&room, &bob.user_id).await?;
    alice.invite(&room, &carol.user_id).await?;
    bob.join(&room).await?;
    let sync = alice.sync(&SyncQuery::since(&since)).await?;
    let summary = &joined(&sync, &room)["summary"];
    assert_eq!(
        (&summary["m.joined_member_count"], &summary["m.invited_member_count"]),
        (&json!(2), &json!(1)),
        "{sync}"
    );
    Ok(())
}

async fn heroes_name_a_nameless_room(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    let filter = json!({ "room": { "state": { "lazy_load_members": true } } });
    let sync = alice.sync(&SyncQuery::default().filter(&filter)).await?;
    assert_eq!(joined(&sync, &room)["summary"]["m.heroes"], json!([bob.user_id]), "{sync}");
    Ok(())
}

async fn hidden_history_stays_hidden(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let rule = json!({ "type": "m.room.history_visibility", "content": { "history_visibility": "joined" } });
    let room = alice.create_room(&json!({ "preset": "public_chat", "initial_state": [rule] })).await?;
    alice.send(&room, "hidden").await?;
    bob.join(&room).await?;
    alice.send(&room, "visible").await?;
    let sync = bob.sync(&SyncQuery::default()).await?;
    assert_eq!(bodies(timeline(&sync, &room)), ["visible"], "{sync}");
    Ok(())
}

async fn rejoining_shows_the_room(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = alice.create_room(&json!({ "preset": "public_chat" })).await?;
    bob.join(&room).await?;
    bob.leave(&room).await?;
    alice.send(&room, "meanwhile").await?;
    let since = sync_token(&bob).await?;
    bob.join(&room).await?;
    let sync = bob.sync(&SyncQuery::since(&since)).await?;
    let own = find_state(timeline(&sync, &room), "m.room.member", &bob.user_id).unwrap_or_else(|| panic!("{sync}"));
    assert_eq!(own["content"]["membership"], "join");
    let mut everything = list(joined(&sync, &room), "/state/events").to_vec();
    everything.extend_from_slice(timeline(&sync, &room));
    assert!(find_state(&everything, "m.room.create", "").is_some(), "the room comes whole again: {sync}");
    Ok(())
}

/// `unsigned.membership`: what the reader was in the room at the event.
async fn events_tell_the_readers_membership(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let room = alice.create_room(&json!({ "preset": "public_chat" })).await?;
    alice.send(&room, "before").await?;
    bob.join(&room).await?;
    alice.send(&room, "in").await?;
    let initial = bob.sync(&SyncQuery::default()).await?;
    let since = next(&initial).to_owned();
    let of = |events: &[Value], text: &str| {
        let event = events.iter().find(|event| event["content"]["body"] == text);
        event.map(|event| event["unsigned"]["membership"].clone()).unwrap_or_default()
    };
    let events = timeline(&initial, &room);
    assert_eq!((of(events, "before"), of(events, "in")), (json!("leave"), json!("join")), "{initial}");
    let own = find_state(events, "m.room.member", &bob.user_id);
    assert_eq!(own.map(|event| &event["unsigned"]["membership"]), Some(&json!("join")));
    alice.send(&room, "still in").await?;
    bob.leave(&room).await?;
    let left = bob.sync(&SyncQuery::since(&since)).await?;
    let events = list(&left["rooms"]["leave"][&room], "/timeline/events");
    assert_eq!(of(events, "still in"), "join", "{left}");
    let own = find_state(events, "m.room.member", &bob.user_id);
    assert_eq!(own.map(|event| &event["unsigned"]["membership"]), Some(&json!("leave")), "{left}");
    Ok(())
}
