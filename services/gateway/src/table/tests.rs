use matrixon_http::{Access, AuthKind, LimitClass};
use matrixon_runtime::role::Role;
use proptest::prelude::*;

use super::*;

fn route(method: Method, path: &str, affinity: Affinity) -> RouteInfo {
    RouteInfo {
        method,
        path: path.to_owned(),
        role: Role::Room,
        auth: AuthKind::User,
        access: Access::default(),
        affinity,
        limit: LimitClass::None,
        kind: RouteKind::Short,
        body_limit: 1_000,
    }
}

fn table() -> Table {
    let room = Affinity::Path("room_id");
    Table::new(vec![
        route(Method::GET, "/_matrix/client/v3/rooms/{room_id}/state", room),
        route(Method::GET, "/_matrix/client/v3/rooms/{room_id}/state/{event_type}/{state_key}", room),
        route(Method::PUT, "/_matrix/client/v3/rooms/{room}/state/{type}/{key}", Affinity::None),
        route(Method::GET, "/_matrix/client/v3/rooms/{room_id}/state/{event_type}/", room),
        route(Method::GET, "/_matrix/client/v3/sync", Affinity::User),
        route(Method::POST, "/_matrix/client/v3/join/{room_id_or_alias}", Affinity::Path("room_id_or_alias")),
        route(Method::GET, "/_matrix/client/v3/all", Affinity::Route),
    ])
    .unwrap()
}

fn template(method: &Method, path: &str) -> String {
    match table().find(method, path) {
        Match::Found { route, shorter, .. } => format!("{}{}", route.info.path, if shorter { " shorter" } else { "" }),
        Match::Methods(methods) => format!("{methods:?}"),
        Match::Nothing => "nothing".to_owned(),
    }
}

#[test]
fn paths_lead_to_routes() {
    let rooms = "/_matrix/client/v3/rooms";
    let cases = [
        (Method::GET, format!("{rooms}/!a:b/state"), format!("{rooms}/{{room_id}}/state")),
        (Method::HEAD, format!("{rooms}/!a:b/state"), format!("{rooms}/{{room_id}}/state")),
        (Method::GET, format!("{rooms}/!a:b/state/"), format!("{rooms}/{{room_id}}/state shorter")),
        (Method::GET, format!("{rooms}/!a:b/state/t/"), format!("{rooms}/{{room_id}}/state/{{event_type}}/")),
        (Method::PUT, format!("{rooms}/a%2Fb/state/t/k"), format!("{rooms}/{{room}}/state/{{type}}/{{key}}")),
        (Method::POST, format!("{rooms}/!a:b/state"), "[GET, HEAD, OPTIONS]".to_owned()),
        (Method::GET, format!("{rooms}//state"), "nothing".to_owned()),
        (Method::GET, format!("{rooms}/!a:b/state//k"), "nothing".to_owned()),
        (Method::GET, "/".to_owned(), "nothing".to_owned()),
        (Method::GET, "/_matrix/client/v3/sync/extra".to_owned(), "nothing".to_owned()),
        (Method::GET, String::new(), "nothing".to_owned()),
    ];
    for (method, path, expected) in cases {
        assert_eq!(template(&method, &path), expected, "{method} {path}");
    }
}

#[test]
fn one_room_has_one_affinity_however_it_is_written() {
    let key = |path: &str, user: Option<&str>| match table().find(&Method::GET, path) {
        Match::Found { route, path_affinity, .. } => route.affinity(path_affinity, user),
        _ => panic!("{path} is not known"),
    };
    let plain = key("/_matrix/client/v3/rooms/!a:b/state", None);
    assert_eq!(plain, Some(AffinityKey::of("!a:b")));
    assert_eq!(plain, key("/_matrix/client/v3/rooms/%21a%3Ab/state/t/k", Some("@u:b")));
    assert_eq!(key("/_matrix/client/v3/sync", Some("@u:b")), Some(AffinityKey::of("@u:b")));
    assert_eq!(key("/_matrix/client/v3/sync", None), None);
    let of_route = key("/_matrix/client/v3/all", Some("@u:b"));
    assert!(of_route.is_some());
    assert_eq!(of_route, key("/_matrix/client/v3/all", Some("@v:b")));
}

#[test]
fn a_route_has_one_owner() {
    let twice = vec![route(Method::GET, "/a/{x}", Affinity::None), route(Method::GET, "/a/{y}", Affinity::None)];
    assert!(matches!(Table::new(twice), Err(TableError::Twice { .. })));
}

proptest! {
    #[test]
    fn any_path_gets_an_answer(path in r"(/(_matrix|client|v3|rooms|state|join|[!-~]{0,9}))*/?") {
        let _found = table().find(&Method::GET, &path);
    }
}
