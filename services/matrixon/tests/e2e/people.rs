//! What concerns other people: shared rooms, reports, `OpenID` tokens, third-party networks.

use anyhow::Result;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use matrixon_testkit::{
    client::{Client, Method, escape, room_path},
    tests,
};
use serde_json::{Value, json};

use crate::env::{Env, Shared, expect_error, list, server_name};

tests![Env: mutual_rooms_are_paged, mutual_rooms_check_their_input, content_is_reported, openid_tokens_tell_who_one_is,
    third_party_networks_are_unknown, unstable_features_are_told];

fn mutual(user: &str, from: Option<&str>) -> String {
    let from = from.map(|from| format!("&from={}", escape(from))).unwrap_or_default();
    format!("/_matrix/client/v1/mutual_rooms?user_id={}{from}", escape(user))
}

async fn mutual_rooms_are_paged(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let empty = alice.get(&mutual(&bob.user_id, None)).await?;
    assert_eq!(empty, json!({ "joined": [], "count": 0 }));
    let others = [&bob];
    let making: Vec<_> = (0..103).map(|_| env.room(&alice, &others)).collect();
    let mut rooms: Vec<String> = stream::iter(making).buffer_unordered(8).try_collect().await?;
    let invited = alice.create_room(&json!({ "invite": [bob.user_id] })).await?;
    bob.leave(&rooms.pop().unwrap_or_default()).await?;
    let page = alice.get(&mutual(&bob.user_id, None)).await?;
    assert_eq!((list(&page, "/joined").len(), &page["count"]), (100, &json!(102)), "{page}");
    let next = page["next_batch"].as_str().expect("there are more");
    let rest = alice.get(&mutual(&bob.user_id, Some(next))).await?;
    assert!(rest.get("next_batch").is_none() && rest["count"] == 102, "{rest}");
    let all: Vec<_> = list(&page, "/joined").iter().chain(list(&rest, "/joined")).filter_map(Value::as_str).collect();
    let mut expected: Vec<_> = rooms.iter().map(String::as_str).collect();
    let mut found = all.clone();
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected);
    assert!(!all.contains(&invited.as_str()));
    let path =
        format!("/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms?user_id={}", escape(&alice.user_id));
    let page = bob.get(&path).await?;
    assert_eq!((list(&page, "/joined").len(), page["next_batch_token"].is_string()), (100, true), "{page}");
    Ok(())
}

async fn mutual_rooms_check_their_input(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    for path in [
        mutual(&alice.user_id, None),
        mutual("bob", None),
        "/_matrix/client/v1/mutual_rooms".to_owned(),
        mutual(&bob.user_id, Some("m1_1_2_3_4")),
        mutual(&bob.user_id, Some("mr1_-7")),
    ] {
        let reply = alice.request(Method::GET, &path, None).await?;
        assert!(reply.status == 400 && reply.errcode().starts_with("M_"), "{path}: {} {}", reply.status, reply.text);
    }
    let stranger = alice.get(&mutual("@stranger:elsewhere.example", None)).await?;
    assert_eq!(stranger, json!({ "joined": [], "count": 0 }));
    expect_error(&env.nobody().request(Method::GET, &mutual(&bob.user_id, None), None).await?, 401, "M_MISSING_TOKEN");
    Ok(())
}

async fn content_is_reported(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let stranger = env.user("stranger").await?;
    let room = env.room(&alice, &[&bob]).await?;
    let event = alice.send(&room, "something rude").await?;
    let report_event = room_path(&room, &format!("report/{}", escape(&event)));
    let reason = json!({ "reason": "this makes me sad" });
    assert_eq!(bob.post(&report_event, &reason).await?, json!({}));
    assert_eq!(bob.post(&report_event, &json!({})).await?, json!({}), "a reason is optional");
    bob.post(&report_event, &json!({ "score": -100, "reason": "older clients score" })).await?;
    // who is not there, and what is not there, look the same
    let refused = async |client: &Client, path: String| client.request(Method::POST, &path, Some(&reason)).await;
    let outside = refused(&stranger, report_event.clone()).await?;
    expect_error(&outside, 404, "M_NOT_FOUND");
    let missing = refused(&bob, room_path(&room, "report/%24nothing")).await?;
    expect_error(&missing, 404, "M_NOT_FOUND");
    let nowhere = refused(&bob, room_path("!nowhere:example.org", "report/%24nothing")).await?;
    assert!(outside.body == missing.body && missing.body == nowhere.body, "{} {}", missing.text, nowhere.text);

    stranger.post(&room_path(&room, "report"), &reason).await?;
    expect_error(&refused(&bob, room_path("!nowhere:example.org", "report")).await?, 404, "M_NOT_FOUND");
    for user in [alice.user_id.as_str(), "@nobody-at-all:example.org", "@stranger:elsewhere.example"] {
        let path = format!("/_matrix/client/v3/users/{}/report", escape(user));
        assert_eq!(stranger.post(&path, &reason).await?, json!({}), "{user}");
    }
    let long = json!({ "reason": "x".repeat(1_001) });
    for path in [
        report_event,
        room_path(&room, "report"),
        format!("/_matrix/client/v3/users/{}/report", escape(&alice.user_id)),
    ] {
        expect_error(&bob.request(Method::POST, &path, Some(&long)).await?, 400, "M_INVALID_PARAM");
        expect_error(&env.nobody().request(Method::POST, &path, Some(&reason)).await?, 401, "M_MISSING_TOKEN");
        let nul = bob.request(Method::POST, &path, Some(&json!({ "reason": "a\0b" }))).await?;
        expect_error(&nul, 400, "M_BAD_JSON");
    }
    Ok(())
}

async fn openid_tokens_tell_who_one_is(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let path = format!("/_matrix/client/v3/user/{}/openid/request_token", escape(&alice.user_id));
    let token = alice.post(&path, &json!({})).await?;
    assert_eq!((&token["token_type"], &token["expires_in"]), (&json!("Bearer"), &json!(3_600)), "{token}");
    assert_eq!(token["matrix_server_name"], server_name(&alice));
    let secret = token["access_token"].as_str().unwrap_or_default();
    let userinfo = |token: &str| format!("/_matrix/federation/v1/openid/userinfo?access_token={}", escape(token));
    let nobody = env.nobody();
    for _ in 0..nobody.gateways() {
        assert_eq!(nobody.get(&userinfo(secret)).await?, json!({ "sub": alice.user_id }));
    }
    for wrong in ["an/invalid/token", "", alice.token.as_deref().unwrap_or_default()] {
        expect_error(&nobody.request(Method::GET, &userinfo(wrong), None).await?, 401, "M_UNKNOWN_TOKEN");
    }
    let none = nobody.request(Method::GET, "/_matrix/federation/v1/openid/userinfo", None).await?;
    expect_error(&none, 401, "M_MISSING_TOKEN");
    // it is good for nothing else
    let whoami = nobody.with_token(secret).request(Method::GET, "/_matrix/client/v3/account/whoami", None).await?;
    expect_error(&whoami, 401, "M_UNKNOWN_TOKEN");
    expect_error(&bob.request(Method::POST, &path, Some(&json!({}))).await?, 403, "M_FORBIDDEN");
    Ok(())
}

async fn third_party_networks_are_unknown(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let base = "/_matrix/client/v3/thirdparty";
    assert_eq!(alice.get(&format!("{base}/protocols")).await?, json!({}));
    for path in [
        "protocol/irc",
        "location/irc?channel=%23matrix",
        "location?alias=%23matrix%3Aexample.org",
        "user/irc?nick=alice",
        "user?userid=%40alice%3Aexample.org",
    ] {
        let path = format!("{base}/{path}");
        expect_error(&alice.request(Method::GET, &path, None).await?, 404, "M_NOT_FOUND");
        expect_error(&env.nobody().request(Method::GET, &path, None).await?, 401, "M_MISSING_TOKEN");
    }
    Ok(())
}

async fn unstable_features_are_told(env: Shared) -> Result<()> {
    let versions = env.nobody().get("/_matrix/client/versions").await?;
    for feature in ["org.matrix.msc4069", "uk.half-shot.msc2666.query_mutual_rooms", "uk.tcpip.msc4133"] {
        assert_eq!(versions["unstable_features"][feature], true, "{versions}");
    }
    Ok(())
}
