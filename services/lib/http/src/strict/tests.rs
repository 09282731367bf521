use proptest::prelude::*;

use super::*;

fn errcode(body: &[u8]) -> Option<String> {
    check_object(body, Nul::Refuse).err().map(|error| error.errcode)
}

#[test]
fn objects_pass() {
    for body in [&b"{}"[..], b" {\"a\":[1,-2,0.5,1e300,null,true,\"\\ud83d\\ude00\"]} ", "{\"é\":\"ü\"}".as_bytes()] {
        assert_eq!(errcode(body), None, "{}", String::from_utf8_lossy(body));
    }
}

#[test]
fn what_is_not_json_is_m_not_json() {
    let cases: [&[u8]; 12] = [
        b"{",
        b"nonsense",
        b"{\"a\":1}}",
        b"{\"a\":\"\\ud800\"}",
        b"{\"a\":\"\\udc00x\"}",
        b"{\"\\ud800\":1}",
        b"{\"a\":1e400}",
        b"{\"a\":\"\xff\"}",
        b"\xef\xbb\xbf{}",
        b"{'a':1}",
        b"{\"a\":NaN}",
        b"{\"a\":\"\n\"}",
    ];
    for body in cases {
        assert_eq!(errcode(body).as_deref(), Some("M_NOT_JSON"), "{}", String::from_utf8_lossy(body));
    }
}

#[test]
fn json_that_we_refuse_is_m_bad_json() {
    for body in [&b"[]"[..], b"1", b"\"text\"", b"null", b"{\"a\":\"\\u0000\"}", b"{\"a\\u0000\":1}"] {
        assert_eq!(errcode(body).as_deref(), Some("M_BAD_JSON"), "{}", String::from_utf8_lossy(body));
    }
    assert!(check_object(b"{\"a\":\"\\u0000\"}", Nul::Allow).is_ok());
}

#[test]
fn depth_has_a_limit() {
    let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
    assert_eq!(errcode(nested(MAX_DEPTH).as_bytes()), None);
    assert_eq!(errcode(nested(MAX_DEPTH + 1).as_bytes()).as_deref(), Some("M_BAD_JSON"));
    assert_eq!(errcode(nested(100_000).as_bytes()).as_deref(), Some("M_BAD_JSON"));
}

#[test]
fn paths_and_queries_hold_no_nul() {
    assert!(check_query(Some("since=a%00b")).is_err());
    assert!(check_query(Some("since=m1_1_2")).is_ok());
    assert!(check_path_argument("!room\0:x").is_err());
    assert!(check_path_argument(&"x".repeat(MAX_PATH_ARGUMENT + 1)).is_err());
    assert!(check_path_argument("!room:x").is_ok());
}

proptest! {
    #[test]
    fn any_bytes_get_an_answer(body in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Err(error) = check_object(&body, Nul::Refuse) {
            prop_assert_eq!(error.status.as_u16(), 400);
        }
    }

    #[test]
    fn what_passes_is_readable_by_serde(body in r#"[{}\[\]",:0-9a-fu\\.eE+ -]{0,60}"#) {
        if check_object(body.as_bytes(), Nul::Refuse).is_ok() {
            prop_assert!(serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&body).is_ok());
        }
    }
}
