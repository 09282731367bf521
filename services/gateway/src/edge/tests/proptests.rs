//! Hostile requests: an answer below 500 to each.

use proptest::prelude::*;

use super::backend::{Fixture, post, request};

fn path() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("rooms".to_owned()),
        Just("echo".to_owned()),
        Just("..".to_owned()),
        Just("%00".to_owned()),
        Just("%2F".to_owned()),
        Just("%ff".to_owned()),
        Just("!a:b".to_owned()),
        Just(String::new()),
        Just("x".repeat(3_000)),
        "[!-~&&[^#?]]{1,8}",
    ];
    (prop::collection::vec(piece, 0..6), "(\\?[!-~&&[^#]]{0,12})?")
        .prop_map(|(pieces, query)| format!("/_matrix/client/v3/{}{query}", pieces.join("/")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_from_outside_is_our_fault(
        method in prop_oneof![Just("GET"), Just("PUT"), Just("POST"), Just("DELETE"), Just("HEAD"), Just("BREW")],
        path in prop_oneof![path(), Just("/_matrix/client/v3/rooms/!a:b/echo/k".to_owned()), "/[!-~&&[^#]]{0,20}"],
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            r#"[{}\[\]",:0-9a-fu\\.eE+ -]{0,40}"#.prop_map(String::into_bytes),
        ],
        token in prop::option::of("[ -~]{0,12}"),
    ) {
        if path.parse::<http::Uri>().is_err() {
            return Ok(());
        }
        let mut asked = if method == "PUT" { post(&path, body).method("PUT") } else { request(method, &path) };
        if let Some(token) = token {
            asked = asked.token(&token);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answer = runtime.block_on(async { Fixture::start().await.send(asked).await });
        prop_assert!(!answer.status.is_server_error(), "{method} {path} -> {}", answer.status);
    }
}
