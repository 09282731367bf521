//! Who may call what: the whole route table, without a token, with a wrong one, and for locked, suspended and guest
//! accounts. What the specification says of each is written down here a second time.

use std::time::{Duration, Instant};

use anyhow::Result;
use matrixon_http::{AuthKind, RouteInfo};
use matrixon_testkit::{
    client::{Client, Method, PASSWORD, Reply, escape, next_txn_id, room_path, unique},
    tests,
};
use serde_json::json;

use crate::env::{Env, Shared, expect_error, server_name};

tests![Env: every_route_demands_a_token, locked_accounts_may_only_log_out, suspended_accounts_may_read_and_leave,
    guests_have_their_routes_and_no_others, administrators_moderate, sessions_survive_a_lock];

const V3: &str = "/_matrix/client/v3";
const V1: &str = "/_matrix/client/v1";
/// A second is all that a change of standing may take to reach every gateway.
const TAKES_EFFECT: Duration = Duration::from_secs(1);

/// <https://spec.matrix.org/v1.19/client-server-api/#guest-access>, and what belongs to it: the other spellings of
/// joining and of state, logging out, and routes that need no account at all.
const FOR_GUESTS: [(&str, &str); 38] = [
    ("GET", "/rooms/{}/state"),
    ("GET", "/rooms/{}/context/{}"),
    ("GET", "/rooms/{}/event/{}"),
    ("GET", "/rooms/{}/state/{}/{}"),
    ("GET", "/rooms/{}/state/{}"),
    ("GET", "/rooms/{}/state/{}/"),
    ("GET", "/rooms/{}/messages"),
    ("GET", "/rooms/{}/members"),
    ("GET", "/rooms/{}/initialSync"),
    ("GET", "/sync"),
    ("GET", "/events"),
    ("GET", "/media/download/{}/{}"),
    ("GET", "/media/download/{}/{}/{}"),
    ("GET", "/media/thumbnail/{}/{}"),
    ("POST", "/rooms/{}/join"),
    ("POST", "/join/{}"),
    ("POST", "/rooms/{}/leave"),
    ("PUT", "/rooms/{}/send/{}/{}"),
    ("PUT", "/rooms/{}/state/{}/{}"),
    ("PUT", "/rooms/{}/state/{}"),
    ("PUT", "/rooms/{}/state/{}/"),
    ("PUT", "/sendToDevice/{}/{}"),
    ("PUT", "/profile/{}/displayname"),
    ("PUT", "/profile/{}/{}"),
    ("PUT", "/uk.tcpip.msc4133/profile/{}/{}"),
    ("DELETE", "/profile/{}/displayname"),
    ("DELETE", "/profile/{}/{}"),
    ("DELETE", "/uk.tcpip.msc4133/profile/{}/{}"),
    ("GET", "/devices"),
    ("GET", "/devices/{}"),
    ("PUT", "/devices/{}"),
    ("GET", "/account/whoami"),
    ("POST", "/keys/upload"),
    ("POST", "/keys/upload/{}"),
    ("POST", "/keys/query"),
    ("POST", "/keys/claim"),
    ("POST", "/logout"),
    ("POST", "/logout/all"),
];

/// What a suspended account must not do.
const NOT_FOR_SUSPENDED: [(&str, &str); 14] = [
    ("POST", "/rooms/{}/join"),
    ("POST", "/join/{}"),
    ("POST", "/knock/{}"),
    ("POST", "/rooms/{}/invite"),
    ("POST", "/rooms/{}/kick"),
    ("POST", "/rooms/{}/ban"),
    ("POST", "/rooms/{}/unban"),
    ("POST", "/createRoom"),
    ("PUT", "/rooms/{}/state/{}/{}"),
    ("PUT", "/profile/{}/displayname"),
    ("PUT", "/profile/{}/avatar_url"),
    ("PUT", "/rooms/{}/typing/{}"),
    ("PUT", "/directory/room/{}"),
    ("PUT", "/directory/list/room/{}"),
];

/// What it must be able to do: <https://spec.matrix.org/v1.19/client-server-api/#account-suspension>
const FOR_SUSPENDED: [(&str, &str); 22] = [
    ("GET", "/sync"),
    ("GET", "/rooms/{}/messages"),
    ("POST", "/rooms/{}/leave"),
    ("POST", "/rooms/{}/forget"),
    ("POST", "/rooms/{}/receipt/{}/{}"),
    ("PUT", "/rooms/{}/redact/{}/{}"),
    ("PUT", "/rooms/{}/send/{}/{}"),
    ("POST", "/logout"),
    ("POST", "/logout/all"),
    ("DELETE", "/devices/{}"),
    ("POST", "/delete_devices"),
    ("POST", "/account/deactivate"),
    ("POST", "/account/3pid/add"),
    ("PUT", "/sendToDevice/{}/{}"),
    ("POST", "/keys/upload"),
    ("POST", "/keys/query"),
    ("POST", "/keys/device_signing/upload"),
    ("POST", "/keys/signatures/upload"),
    ("POST", "/room_keys/version"),
    ("PUT", "/room_keys/keys"),
    ("PUT", "/user/{}/account_data/{}"),
    ("GET", "/account/whoami"),
];

/// gRPC says in its own way who may not call.
fn table() -> Vec<RouteInfo> {
    let mut routes = [
        matrixon_auth::routes(),
        matrixon_room::routes(),
        matrixon_sync::routes(),
        matrixon_media::routes(),
        matrixon_federation::routes(),
    ]
    .concat();
    routes.retain(|route| !route.path.starts_with("/matrixon.admin."));
    routes
}

/// `/rooms/{}/leave` of `/_matrix/client/v3/rooms/{room_id}/leave`, in whichever version.
fn shape(path: &str) -> String {
    let rest =
        path.strip_prefix("/_matrix/client/").and_then(|rest| rest.split_once('/')).map_or(path, |(_, rest)| rest);
    let segments = rest.split('/').map(|segment| if segment.starts_with('{') { "{}" } else { segment });
    format!("/{}", segments.collect::<Vec<_>>().join("/"))
}

fn is_listed(route: &RouteInfo, list: &[(&str, &str)]) -> bool {
    let shape = shape(&route.path);
    list.iter().any(|(method, path)| *method == route.method.as_str() && *path == shape)
}

/// A request to a route, with something for every parameter.
async fn call(client: &Client, route: &RouteInfo) -> Result<Reply> {
    let segments = route.path.split('/').map(|segment| if segment.starts_with('{') { "x" } else { segment });
    let path = segments.collect::<Vec<_>>().join("/");
    let body = json!({});
    let body = (route.method.as_str() != "GET").then_some(&body);
    client.request(Method::from_bytes(route.method.as_str().as_bytes())?, &path, body).await
}

/// Calls routes, and looks at each answer.
async fn walk(client: &Client, routes: Vec<RouteInfo>, check: impl Fn(&RouteInfo, &Reply)) -> Result<()> {
    for route in routes {
        let reply = call(client, &route).await?;
        check(&route, &reply);
    }
    Ok(())
}

#[track_caller]
fn expect(route: &RouteInfo, reply: &Reply, status: u16, errcode: &str) {
    let got = (reply.status, reply.errcode());
    assert_eq!(got, (status, errcode), "{} {}: {}", route.method, route.path, reply.text);
}

async fn every_route_demands_a_token(env: Shared) -> Result<()> {
    let needing = || table().into_iter().filter(|route| route.auth == AuthKind::User).collect::<Vec<_>>();
    assert!(needing().len() > 80, "only {} routes", needing().len());
    walk(&env.nobody(), needing(), |route, reply| expect(route, reply, 401, "M_MISSING_TOKEN")).await?;
    let stranger = env.nobody().with_token("mxa_0000000000000000000000000000000000000000");
    walk(&stranger, needing(), |route, reply| expect(route, reply, 401, "M_UNKNOWN_TOKEN")).await
}

fn moderation_path(what: &str, user: &Client) -> String {
    format!("{V1}/admin/{what}/{}", escape(&user.user_id))
}

/// Until every gateway has heard of it.
async fn wait_for(user: &Client, errcode: &str) -> Result<()> {
    let end = Instant::now() + TAKES_EFFECT;
    for gateway in 0..user.gateways() {
        let probe = user.pinned(gateway);
        let path = format!("{V3}/rooms/!x:y/join");
        loop {
            let asked = Instant::now();
            if probe.request(Method::POST, &path, Some(&json!({}))).await?.errcode() == errcode {
                break;
            }
            assert!(asked < end, "gateway {gateway} does not know {errcode} after 1 s");
        }
    }
    Ok(())
}

async fn locked_accounts_may_only_log_out(env: Shared) -> Result<()> {
    let (admin, alice) = (env.admin().await?, env.user("alice").await?);
    let second = alice.login(alice.localpart()).await?;
    admin.put(&moderation_path("lock", &alice), &json!({ "locked": true })).await?;
    wait_for(&alice, "M_USER_LOCKED").await?;
    let routes: Vec<_> = table().into_iter().filter(|route| route.auth != AuthKind::None).collect();
    let (logout, others): (Vec<_>, Vec<_>) =
        routes.into_iter().partition(|route| ["/logout", "/logout/all"].contains(&shape(&route.path).as_str()));
    assert!(logout.iter().all(|route| route.access.locked));
    walk(&alice, others, |route, reply| {
        expect(route, reply, 401, "M_USER_LOCKED");
        assert_eq!(reply.body["soft_logout"], true, "{}", reply.text);
    })
    .await?;
    let login = |password: &str| {
        let identifier = json!({ "type": "m.id.user", "user": alice.localpart() });
        json!({ "type": "m.login.password", "identifier": identifier, "password": password })
    };
    let path = format!("{V3}/login");
    let refused = env.nobody().request(Method::POST, &path, Some(&login(PASSWORD))).await?;
    expect_error(&refused, 401, "M_USER_LOCKED");
    let wrong = env.nobody().request(Method::POST, &path, Some(&login("wrong"))).await?;
    expect_error(&wrong, 403, "M_FORBIDDEN");
    alice.post(&format!("{V3}/logout"), &json!({})).await?;
    second.post(&format!("{V3}/logout/all"), &json!({})).await?;
    Ok(())
}

async fn sessions_survive_a_lock(env: Shared) -> Result<()> {
    let (admin, alice) = (env.admin().await?, env.user("alice").await?);
    let path = moderation_path("lock", &alice);
    assert_eq!(admin.get(&path).await?, json!({ "locked": false }));
    assert_eq!(admin.put(&path, &json!({ "locked": true })).await?, json!({ "locked": true }));
    assert_eq!(admin.get(&path).await?, json!({ "locked": true }));
    wait_for(&alice, "M_USER_LOCKED").await?;
    admin.put(&path, &json!({ "locked": false })).await?;
    wait_for(&alice, "M_NOT_FOUND").await?; // there is no such room, but she is let through
    alice.get(&format!("{V3}/account/whoami")).await?;
    Ok(())
}

async fn suspended_accounts_may_read_and_leave(env: Shared) -> Result<()> {
    for route in table().iter().filter(|route| route.auth == AuthKind::User) {
        let name = format!("{} {}", route.method, route.path);
        assert!(!(is_listed(route, &NOT_FOR_SUSPENDED) && route.access.suspended), "{name} serves suspended accounts");
        assert!(!is_listed(route, &FOR_SUSPENDED) || route.access.suspended, "{name} refuses suspended accounts");
    }
    let admin = env.admin().await?;
    let (alice, bob) = env.pair().await?;
    let room = env.room(&alice, &[&bob]).await?;
    let (own, foreign) = (alice.send(&room, "mine").await?, bob.send(&room, "his").await?);
    let path = moderation_path("suspend", &alice);
    assert_eq!(admin.put(&path, &json!({ "suspended": true })).await?, json!({ "suspended": true }));
    assert_eq!(admin.get(&path).await?, json!({ "suspended": true }));
    wait_for(&alice, "M_USER_SUSPENDED").await?;
    let refused: Vec<_> = table().into_iter().filter(|route| !route.access.suspended).collect();
    walk(&alice, refused, |route, reply| expect(route, reply, 403, "M_USER_SUSPENDED")).await?;

    let message = room_path(&room, &format!("send/m.room.message/{}", next_txn_id()));
    let body = json!({ "msgtype": "m.text", "body": "x" });
    expect_error(&alice.request(Method::PUT, &message, Some(&body)).await?, 403, "M_USER_SUSPENDED");
    let redact = |event: &str| room_path(&room, &format!("redact/{}/{}", escape(event), next_txn_id()));
    alice.put(&redact(&own), &json!({})).await?;
    expect_error(&alice.request(Method::PUT, &redact(&foreign), Some(&json!({}))).await?, 403, "M_USER_SUSPENDED");
    let sent = room_path(&room, &format!("send/m.room.redaction/{}", next_txn_id()));
    let foreign = json!({ "redacts": foreign });
    expect_error(&alice.request(Method::PUT, &sent, Some(&foreign)).await?, 403, "M_USER_SUSPENDED");
    alice.messages(&room, 'b', None, 10).await?;
    let second = alice.login(alice.localpart()).await?;
    expect_error(&second.request(Method::PUT, &message, Some(&body)).await?, 403, "M_USER_SUSPENDED");
    alice.leave(&room).await?;
    admin.put(&path, &json!({ "suspended": false })).await?;
    wait_for(&second, "M_NOT_FOUND").await?;
    Ok(())
}

async fn guests_have_their_routes_and_no_others(env: Shared) -> Result<()> {
    for route in table().iter().filter(|route| route.auth == AuthKind::User) {
        let name = format!("{} {}", route.method, route.path);
        assert_eq!(route.access.guests, is_listed(route, &FOR_GUESTS), "{name}: served to guests?");
    }
    let guest = env.guest().await?;
    assert_eq!(guest.get(&format!("{V3}/account/whoami")).await?["is_guest"], true);
    let refused: Vec<_> = table().into_iter().filter(|route| !route.access.guests).collect();
    assert!(refused.len() > 50, "only {} routes", refused.len());
    walk(&guest, refused, |route, reply| expect(route, reply, 403, "M_GUEST_ACCESS_FORBIDDEN")).await
}

async fn administrators_moderate(env: Shared) -> Result<()> {
    let (admin, other) = (env.admin().await?, env.admin().await?);
    let (alice, bob) = env.pair().await?;
    for (what, member) in [("lock", "locked"), ("suspend", "suspended")] {
        let on = json!({ member: true });
        let put = async |by: &Client, whom: &str| {
            by.request(Method::PUT, &format!("{V1}/admin/{what}/{}", escape(whom)), Some(&on)).await
        };
        let get = async |by: &Client, whom: &str| {
            by.request(Method::GET, &format!("{V1}/admin/{what}/{}", escape(whom)), None).await
        };
        let nobody = format!("@{}:{}", unique("nobody"), server_name(&alice));
        for whom in [bob.user_id.as_str(), nobody.as_str()] {
            expect_error(&put(&alice, whom).await?, 403, "M_FORBIDDEN");
            expect_error(&get(&alice, whom).await?, 403, "M_FORBIDDEN");
        }
        for reply in [put(&admin, "@x:elsewhere.example").await?, get(&admin, "@x:elsewhere.example").await?] {
            expect_error(&reply, 400, "M_INVALID_PARAM");
        }
        for reply in [put(&admin, &nobody).await?, get(&admin, &nobody).await?] {
            expect_error(&reply, 404, "M_NOT_FOUND");
        }
        expect_error(&put(&admin, &admin.user_id).await?, 403, "M_FORBIDDEN");
        expect_error(&put(&admin, &other.user_id).await?, 403, "M_FORBIDDEN");
    }
    let of = |user: &Client| format!("{V3}/admin/whois/{}", escape(&user.user_id));
    let whois = admin.get(&of(&alice)).await?;
    assert_eq!(whois["user_id"], alice.user_id.as_str());
    let connection = &whois["devices"][&alice.device_id]["sessions"][0]["connections"][0];
    assert!(connection["last_seen"].is_u64() && connection["ip"].is_string(), "{whois}");
    assert!(!connection["user_agent"].is_null() || connection.get("user_agent").is_none(), "{whois}");
    alice.get(&of(&alice)).await?;
    expect_error(&bob.request(Method::GET, &of(&alice), None).await?, 403, "M_FORBIDDEN");
    let moderation = |client: Client| async move {
        let capabilities = client.get(&format!("{V3}/capabilities")).await?;
        anyhow::Ok(capabilities["capabilities"]["m.account_moderation"].clone())
    };
    assert_eq!(moderation(admin).await?, json!({ "lock": true, "suspend": true }));
    assert_eq!(moderation(alice).await?, json!(null));
    Ok(())
}
