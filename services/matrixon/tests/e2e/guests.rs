//! Guests: registration, rooms that let them in and rooms that do not, and becoming a full account.

use anyhow::Result;
use matrixon_testkit::{
    client::{Client, Method, PASSWORD, escape, room_path},
    tests,
};
use serde_json::{Value, json};

use crate::env::{Env, Shared, expect_error};

tests![Env: guests_get_an_account_of_their_own, guests_join_where_they_are_let_in, guests_are_sent_away,
    guests_read_world_readable_rooms, a_guest_becomes_a_full_account, nobody_upgrades_another_guest, names_are_checked];

const REGISTER: &str = "/_matrix/client/v3/register";

async fn let_guests_in(owner: &Client, room: &str, access: &str) -> Result<String> {
    owner.set_state(room, "m.room.guest_access", "", &json!({ "guest_access": access })).await
}

/// A public room, with guests or without.
async fn public_room(owner: &Client, access: &str) -> Result<String> {
    let room = owner.create_room(&json!({ "preset": "public_chat" })).await?;
    let_guests_in(owner, &room, access).await?;
    Ok(room)
}

async fn guests_get_an_account_of_their_own(env: Shared) -> Result<()> {
    let nobody = env.nobody();
    // everything but the name of the device is ignored
    let wishes = json!({ "username": "admin", "password": PASSWORD, "device_id": "MINE", "inhibit_login": true,
        "initial_device_display_name": "a browser" });
    let made = nobody.post(&format!("{REGISTER}?kind=guest"), &wishes).await?;
    let guest = nobody.session(&made)?;
    assert_ne!(guest.localpart(), "admin");
    assert_ne!(guest.device_id, "MINE");
    let device = guest.get(&format!("/_matrix/client/v3/devices/{}", guest.device_id)).await?;
    assert_eq!(device["display_name"], "a browser");
    guest.put(&format!("/_matrix/client/v3/devices/{}", guest.device_id), &json!({ "display_name": "x" })).await?;
    let name = format!("/_matrix/client/v3/profile/{}/displayname", escape(&guest.user_id));
    guest.put(&name, &json!({ "displayname": "creeper" })).await?;
    assert_eq!(guest.get(&name).await?, json!({ "displayname": "creeper" }));
    let other = env.guest().await?;
    assert_ne!(other.user_id, guest.user_id);
    let strange = nobody.request(Method::POST, &format!("{REGISTER}?kind=alien"), Some(&json!({}))).await?;
    expect_error(&strange, 400, "M_INVALID_PARAM");
    Ok(())
}

async fn guests_join_where_they_are_let_in(env: Shared) -> Result<()> {
    let (alice, guest) = (env.user("alice").await?, env.guest().await?);
    let closed = public_room(&alice, "forbidden").await?;
    let path = room_path(&closed, "join");
    expect_error(&guest.request(Method::POST, &path, Some(&json!({}))).await?, 403, "M_GUEST_ACCESS_FORBIDDEN");
    let path = format!("/_matrix/client/v3/join/{}", escape(&closed));
    expect_error(&guest.request(Method::POST, &path, Some(&json!({}))).await?, 403, "M_GUEST_ACCESS_FORBIDDEN");
    let member = room_path(&closed, &format!("state/m.room.member/{}", escape(&guest.user_id)));
    let join = json!({ "membership": "join" });
    expect_error(&guest.request(Method::PUT, &member, Some(&join)).await?, 403, "M_GUEST_ACCESS_FORBIDDEN");
    let open = public_room(&alice, "can_join").await?;
    guest.join(&open).await?;
    guest.send(&open, "hello").await?;
    guest.messages(&open, 'b', None, 5).await?;
    alice
        .sync_until(None, |body| {
            let events = body["rooms"]["join"][&open]["timeline"]["events"].as_array()?;
            events
                .iter()
                .any(|event| event["sender"] == guest.user_id.as_str() && event["content"]["body"] == "hello")
                .then_some(())
        })
        .await?;
    guest.leave(&open).await?;
    Ok(())
}

async fn membership(client: &Client, room: &str, user: &Client) -> Result<Value> {
    let content = client.get(&room_path(room, &format!("state/m.room.member/{}", escape(&user.user_id)))).await?;
    Ok(content["membership"].clone())
}

async fn guests_are_sent_away(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let (one, two) = (env.guest().await?, env.guest().await?);
    let room = public_room(&alice, "can_join").await?;
    for member in [&bob, &one, &two] {
        member.join(&room).await?;
    }
    let_guests_in(&alice, &room, "forbidden").await?;
    for guest in [&one, &two] {
        assert_eq!(membership(&alice, &room, guest).await?, "leave");
        let path = room_path(&room, "join");
        expect_error(&guest.request(Method::POST, &path, Some(&json!({}))).await?, 403, "M_GUEST_ACCESS_FORBIDDEN");
    }
    assert_eq!(membership(&alice, &room, &bob).await?, "join");
    Ok(())
}

async fn guests_read_world_readable_rooms(env: Shared) -> Result<()> {
    let (alice, guest) = (env.user("alice").await?, env.guest().await?);
    let room = public_room(&alice, "forbidden").await?;
    expect_error(&guest.request(Method::GET, &room_path(&room, "messages?dir=b"), None).await?, 403, "M_FORBIDDEN");
    let world = json!({ "history_visibility": "world_readable" });
    alice.set_state(&room, "m.room.history_visibility", "", &world).await?;
    let event = alice.send(&room, "to everybody").await?;
    let page = guest.messages(&room, 'b', None, 5).await?;
    assert_eq!(page["chunk"][0]["content"]["body"], "to everybody");
    for rest in ["state".to_owned(), format!("event/{}", escape(&event)), format!("context/{}", escape(&event))] {
        guest.get(&room_path(&room, &rest)).await?;
    }
    guest.get("/_matrix/client/v3/sync?timeout=0").await?;
    Ok(())
}

fn upgrade(guest: &Client, token: &Client) -> Value {
    json!({ "username": guest.localpart(), "password": PASSWORD, "guest_access_token": token.token })
}

async fn a_guest_becomes_a_full_account(env: Shared) -> Result<()> {
    let (alice, guest) = (env.user("alice").await?, env.guest().await?);
    let nobody = env.nobody();
    let mut body = upgrade(&guest, &guest);
    let session = nobody.request(Method::POST, REGISTER, Some(&body)).await?.body["session"].take();
    body["auth"] = json!({ "type": "m.login.dummy", "session": session });
    let full = nobody.session(&nobody.post(REGISTER, &body).await?)?;
    assert_eq!(full.user_id, guest.user_id);
    let closed = public_room(&alice, "forbidden").await?;
    for gateway in 0..full.gateways() {
        full.pinned(gateway).join(&closed).await?;
    }
    assert_ne!(full.get("/_matrix/client/v3/account/whoami").await?["is_guest"], true);
    full.login(full.localpart()).await?;
    // the same once more: the name is taken now
    let mut again = upgrade(&guest, &guest);
    again["auth"] = json!({ "type": "m.login.dummy" });
    let again = nobody.request(Method::POST, REGISTER, Some(&again)).await?;
    expect_error(&again, 403, "M_FORBIDDEN");
    Ok(())
}

async fn nobody_upgrades_another_guest(env: Shared) -> Result<()> {
    let (guest, other, alice) = (env.guest().await?, env.guest().await?, env.user("alice").await?);
    for mut body in [upgrade(&guest, &other), upgrade(&guest, &alice), upgrade(&alice, &alice)] {
        let reply = env.nobody().request(Method::POST, REGISTER, Some(&body)).await?;
        expect_error(&reply, 403, "M_FORBIDDEN");
        body["auth"] = json!({ "type": "m.login.dummy" });
        let reply = env.nobody().request(Method::POST, REGISTER, Some(&body)).await?;
        expect_error(&reply, 403, "M_FORBIDDEN");
    }
    let nameless = json!({ "password": PASSWORD, "guest_access_token": guest.token });
    let reply = env.nobody().request(Method::POST, REGISTER, Some(&nameless)).await?;
    expect_error(&reply, 400, "M_MISSING_PARAM");
    Ok(())
}

async fn names_are_checked(env: Shared) -> Result<()> {
    let nobody = env.nobody();
    let server = crate::env::server_name(&env.user("alice").await?).len();
    let longest = 255 - server - 2;
    // historical ids, look-alikes, reserved namespaces, and 255 bytes with the server's name
    let bad = ["_bridge_x", "Ａlice", "аlice", "a!b", "a\u{202e}b", "#a", "", &"x".repeat(longest + 1)];
    for name in bad {
        let body = json!({ "username": name, "password": PASSWORD });
        let reply = nobody.request(Method::POST, REGISTER, Some(&body)).await?;
        expect_error(&reply, 400, "M_INVALID_USERNAME");
        let path = format!("{REGISTER}/available?username={}", escape(name));
        expect_error(&nobody.request(Method::GET, &path, None).await?, 400, "M_INVALID_USERNAME");
    }
    let name = matrixon_testkit::client::unique("n");
    let fitting = format!("{name}{}", "x".repeat(longest - name.len()));
    let free = nobody.get(&format!("{REGISTER}/available?username={fitting}")).await?;
    assert_eq!(free, json!({ "available": true }));
    nobody.register(&fitting).await?;
    let taken = nobody.request(Method::GET, &format!("{REGISTER}/available?username={fitting}"), None).await?;
    expect_error(&taken, 400, "M_USER_IN_USE");
    Ok(())
}
