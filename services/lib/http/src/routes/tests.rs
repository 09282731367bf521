use axum::{body::Body, extract::Request};
use http::StatusCode;
use matrixon_runtime::{clock::Clock, query_stats};
use proptest::prelude::*;
use ruma::api::client::{account::whoami, membership::leave_room, state::get_state_event_for_key, tag::create_tag};
use serde_json::Value;
use tower::ServiceExt as _;

use super::*;
use crate::{Assertion, AuthKind, NoAuth, OptionalAuth, RawJson, RouteKind, Signer, Standing, UserAuth, header};

async fn whoami(
    State(name): State<&'static str>,
    Matrix { auth, .. }: Matrix<whoami::v3::Request, UserAuth>,
) -> Result<whoami::v3::Response, MatrixError> {
    query_stats::record(std::time::Duration::from_micros(30));
    assert_eq!(name, "state");
    Ok(whoami::v3::Response::new(auth.user_id, false))
}

async fn leave(
    _: State<&'static str>,
    request: Matrix<leave_room::v3::Request, UserAuth>,
) -> Result<leave_room::v3::Response, MatrixError> {
    assert!(request.req.reason.as_deref() != Some("panic"), "as asked");
    assert_eq!(&request.body[..1], b"{");
    Ok(leave_room::v3::Response::new())
}

async fn tag(
    _: State<&'static str>,
    _: Matrix<create_tag::v3::Request, UserAuth>,
) -> Result<create_tag::v3::Response, MatrixError> {
    Ok(create_tag::v3::Response::new())
}

async fn state_event(
    _: State<&'static str>,
    Matrix { req, .. }: Matrix<get_state_event_for_key::v3::Request, OptionalAuth>,
) -> Result<RawJson, MatrixError> {
    Ok(RawJson(format!("{{\"key\":\"{}\"}}", req.state_key).into()))
}

async fn echo(_: State<&'static str>, raw: Raw<NoAuth>) -> Result<RawJson, MatrixError> {
    Ok(RawJson(raw.body))
}

fn routes() -> Routes<&'static str> {
    Routes::new(Role::Room)
        .ruma(whoami, RouteOptions::user())
        .ruma(leave, RouteOptions::room().limit(LimitClass::Join))
        .ruma(tag, RouteOptions::room())
        .ruma(
            state_event,
            RouteOptions::room()
                .alias("/_matrix/client/v3/rooms/{room_id}/state/{event_type}")
                .alias("/_matrix/client/v3/rooms/{room_id}/state/{event_type}/"),
        )
        .raw(Method::POST, "/_test/echo", echo, RouteOptions::any().body_limit(1_000).long_poll())
}

fn identity(user: bool) -> http::HeaderValue {
    let user = user.then(|| UserAuth {
        user_id: "@alice:example.org".try_into().unwrap(),
        device_id: "DEVICE".into(),
        admin: false,
        standing: Standing::default(),
        token_sha256: [0; 32],
    });
    Signer::new(b"secret").sign(&Assertion { user, expires_ms: 30_000, ..Assertion::default() })
}

fn request(method: &str, path: &str, body: impl Into<Body>) -> Request {
    let request = Request::builder().method(method).uri(path).header(header::IDENTITY, identity(true));
    request.body(body.into()).unwrap()
}

async fn send(request: Request) -> (StatusCode, http::HeaderMap, Value) {
    let router = routes().into_router("state", Verifier::new(b"secret", None, Clock::manual(10_000)));
    let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    (parts.status, parts.headers, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

async fn errcode(method: &str, path: &str, body: impl Into<Body>) -> (u16, String) {
    let (status, _, body) = send(request(method, path, body)).await;
    (status.as_u16(), body["errcode"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn the_table_follows_from_the_registrations() {
    let table = routes().table();
    let leave = table.iter().find(|info| info.path.ends_with("v3/rooms/{room_id}/leave")).unwrap();
    assert_eq!((leave.role, leave.auth, leave.limit), (Role::Room, AuthKind::User, LimitClass::Join));
    assert_eq!(leave.affinity, Affinity::Path("room_id"));
    let whoami = table.iter().find(|info| info.path.ends_with("whoami")).unwrap();
    assert_eq!((whoami.method.clone(), whoami.limit, whoami.auth), (Method::GET, LimitClass::Read, AuthKind::User));
    let state = table.iter().filter(|info| info.path.contains("/state/") && info.auth == AuthKind::Optional);
    assert!(state.count() >= 3);
    let echo = table.iter().find(|info| info.path == "/_test/echo").unwrap();
    assert_eq!((echo.kind, echo.body_limit, echo.auth), (RouteKind::LongPoll, 1_000, AuthKind::None));
}

#[tokio::test]
async fn a_handler_gets_its_request_and_the_answer_says_what_it_cost() {
    let (status, headers, body) = send(request("GET", "/_matrix/client/v3/account/whoami", "")).await;
    assert_eq!((status, body["user_id"].as_str()), (StatusCode::OK, Some("@alice:example.org")));
    assert_eq!(headers[header::DATABASE], "1;30");
    let (status, ..) = send(request("HEAD", "/_matrix/client/v3/account/whoami", "")).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn without_a_valid_assertion_nothing_is_served() {
    for path in ["/_matrix/client/v3/account/whoami", "/_matrix/client/v3/rooms/!a:b/state/t"] {
        let (status, _, body) = send(Request::builder().uri(path).body(Body::empty()).unwrap()).await;
        assert_eq!((status, body["errcode"].as_str()), (StatusCode::UNAUTHORIZED, Some("M_UNAUTHORIZED")));
    }
    let anonymous =
        Request::builder().uri("/_matrix/client/v3/account/whoami").header(header::IDENTITY, identity(false));
    let (status, _, body) = send(anonymous.body(Body::empty()).unwrap()).await;
    assert_eq!((status, body["errcode"].as_str()), (StatusCode::UNAUTHORIZED, Some("M_MISSING_TOKEN")));
}

#[tokio::test]
async fn aliases_fill_missing_arguments_with_nothing() {
    for (path, key) in [("t", ""), ("t/", ""), ("t/k", "k"), ("t/a%2Fb", "a/b")] {
        let path = format!("/_matrix/client/v3/rooms/!a:b/state/{path}");
        let (_, _, body) = send(request("GET", &path, "")).await;
        assert_eq!(body["key"], key, "{path}: {body}");
    }
}

#[tokio::test]
async fn the_door_is_strict() {
    let leave = "/_matrix/client/v3/rooms/!a:b/leave";
    assert_eq!(errcode("POST", leave, "").await.0, 200);
    let tag = "/_matrix/client/v3/user/@a:b/rooms/!a:b/tags/t";
    assert_eq!(errcode("PUT", tag, "").await, (400, "M_NOT_JSON".to_owned()));
    assert_eq!(errcode("PUT", tag, "{}").await.0, 200);
    assert_eq!(errcode("POST", leave, "{").await, (400, "M_NOT_JSON".to_owned()));
    assert_eq!(errcode("POST", leave, "[]").await, (400, "M_BAD_JSON".to_owned()));
    assert_eq!(errcode("POST", leave, r#"{"reason":7}"#).await, (400, "M_BAD_JSON".to_owned()));
    assert_eq!(errcode("POST", leave, r#"{"reason":"\u0000"}"#).await, (400, "M_BAD_JSON".to_owned()));
    assert_eq!(errcode("POST", leave, vec![b' '; 300_000]).await, (413, "M_TOO_LARGE".to_owned()));
    assert_eq!(errcode("POST", leave, r#"{"reason":"panic"}"#).await, (500, "M_UNKNOWN".to_owned()));
    for room in ["nonsense", "!a%00:b", "!%ff:b", &"x".repeat(5_000)] {
        let path = format!("/_matrix/client/v3/rooms/{room}/leave");
        assert_eq!(errcode("POST", &path, "{}").await, (400, "M_INVALID_PARAM".to_owned()), "{room}");
    }
    assert_eq!(errcode("POST", &format!("{leave}?x=%00"), "{}").await.1, "M_INVALID_PARAM");
    assert_eq!(errcode("POST", "/_test/echo", "{}").await.0, 200);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn nothing_from_outside_is_our_fault(
        room in "[!-~]{0,40}",
        tag in r"(%[0-9a-fA-F]{2}|[a-z.!:/]){0,12}",
        query in r"(%[0-9a-fA-F]{2}|[a-z=&+]){0,20}",
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..60),
            r#"\{"(order|reason)":[0-9a-f"{}\[\],:.eE+-]{0,20}\}"#.prop_map(String::into_bytes),
        ],
        put in any::<bool>(),
    ) {
        let path = format!("/_matrix/client/v3/user/@a:b/rooms/{room}/tags/{tag}?{query}");
        let identity = identity(true);
        let built = Request::builder()
            .method(if put { "PUT" } else { "POST" })
            .uri(path)
            .header(header::IDENTITY, identity)
            .body(Body::from(body));
        let Ok(request) = built else { return Ok(()) };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (status, ..) = runtime.block_on(send(request));
        prop_assert!(!status.is_server_error(), "{status}");
    }
}
