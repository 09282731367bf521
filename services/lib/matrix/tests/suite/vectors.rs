//! <https://spec.matrix.org/v1.19/appendices/#cryptographic-test-vectors>

use matrixon_matrix::keys::{self, KeyError};
use ruma::{
    CanonicalJsonObject,
    room_version_rules::RoomVersionRules,
    signatures::{hash_and_sign_event, sign_json},
};
use serde_json::{Value, json};

const KEY: &str = "ed25519 1 YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1\n";

fn object(value: Value) -> CanonicalJsonObject {
    serde_json::from_value(value).expect("canonical JSON")
}

fn signature(object: &CanonicalJsonObject) -> String {
    serde_json::to_value(object).expect("JSON")["signatures"]["domain"]["ed25519:1"].as_str().expect("text").to_owned()
}

#[test]
fn json_is_signed_as_specified() {
    let key = keys::parse_signing_key(KEY).unwrap();
    for (value, expected) in [
        (json!({}), "K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ"),
        (
            json!({ "one": 1, "two": "Two" }),
            "KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw",
        ),
    ] {
        let mut object = object(value);
        sign_json("domain", &key, &mut object).unwrap();
        assert_eq!(signature(&object), expected);
    }
}

#[test]
fn events_are_hashed_and_signed_as_specified() {
    let key = keys::parse_signing_key(KEY).unwrap();
    let minimal = json!({
        "room_id": "!x:domain", "sender": "@a:domain", "origin": "domain", "origin_server_ts": 1_000_000,
        "signatures": {}, "hashes": {}, "type": "X", "content": {}, "prev_events": [], "auth_events": [],
        "depth": 3, "unsigned": { "age_ts": 1_000_000 },
    });
    let message = json!({
        "content": { "body": "Here is the message content" }, "event_id": "$0:domain", "origin": "domain",
        "origin_server_ts": 1_000_000, "type": "m.room.message", "room_id": "!r:domain", "sender": "@u:domain",
        "signatures": {}, "unsigned": { "age_ts": 1_000_000 },
    });
    for (value, hash, expected) in [
        (
            minimal,
            "5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos",
            "KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg",
        ),
        (
            message,
            "onLKD1bGljeBWQhWZ1kaP9SorVmRQNdN5aM2JYU2n/g",
            "Wm+VzmOUOz08Ds+0NTWb1d4CZrVsJSikkeRxh6aCcUwu6pNC78FunoD7KNWzqFn241eYHYMGCA5McEiVPdhzBA",
        ),
    ] {
        let mut event = object(value);
        hash_and_sign_event("domain", &key, &mut event, &RoomVersionRules::V1.redaction).unwrap();
        assert_eq!(serde_json::to_value(&event).unwrap()["hashes"]["sha256"], hash);
        assert_eq!(signature(&event), expected);
    }
}

#[test]
fn keys_are_read_and_written() {
    let text = keys::format_signing_key(&[3; 32]);
    let key = keys::parse_signing_key(&format!("\n{text}")).unwrap();
    assert!(key.version().starts_with("a_") && key.version().len() == 8, "{}", key.version());
    assert_eq!(keys::parse_signing_key(&text).unwrap().public_key(), key.public_key());
    for bad in ["", "ed25519", "ed25519 1", "rsa 1 AAAA", "ed25519 1 AAAA", "ed25519 1 AAAA extra", "ed25519 1 !!"] {
        assert_eq!(keys::parse_signing_key(bad).unwrap_err(), KeyError::Format, "{bad}");
    }
    let version = keys::parse_signing_key("ed25519 a.b YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1");
    assert_eq!(version.unwrap_err(), KeyError::Version("a.b".to_owned()));
}
