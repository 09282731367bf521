use std::collections::BTreeMap;

use matrixon_matrix::{
    BuildError, Built, ContentError, NewEvent, Pdu, RoomVersion, canonical, pdu::reconstruct,
    redact::redact_client_json,
};
use proptest::prelude::*;
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue,
    serde::Base64,
    signatures::{PublicKeyMap, Verified, reference_hash, verify_event},
};
use serde_json::{Value, json};

use crate::timeline::{Refused, Timeline, content, user};

fn public_keys(room: &Timeline) -> PublicKeyMap {
    let key = Base64::new(room.signer.key.public_key().to_vec());
    let id = format!("ed25519:{}", room.signer.key.version());
    BTreeMap::from([("example.org".to_owned(), BTreeMap::from([(id, key)]))])
}

/// What other servers check.
fn assert_valid(room: &Timeline, built: &Built) {
    let pdu = reconstruct(room.version, &built.json, &built.hidden_json).unwrap();
    assert_eq!(verify_event(&public_keys(room), &pdu, room.version.rules).unwrap(), Verified::All);
    let hash = reference_hash(&pdu, room.version.rules).unwrap();
    assert_eq!(built.pdu.event_id.as_str(), format!("${hash}"));
    ruma::state_res::check_pdu_format(&pdu, &room.version.rules.event_format).unwrap();
    let read = Pdu::from_stored(room.version, &built.json, Some(&built.hidden_json)).unwrap();
    assert_eq!(format!("{read:?}"), format!("{:?}", built.pdu));
}

#[test]
fn every_event_of_a_room_is_valid_to_others() {
    for version in ["10", "11", "12"] {
        let mut room = Timeline::new(version, "public");
        let target = room.message("alice", "hello \u{0} \u{1F600} \"quoted\"").unwrap();
        room.send(NewEvent::redaction(user("alice"), target, Some("why".to_owned()))).unwrap();
        for built in &room.events {
            assert_valid(&room, built);
            let client: Value = serde_json::from_str(&built.json).unwrap();
            assert_eq!(client["room_id"], room.room_id.as_str());
            assert_eq!(client["event_id"], built.pdu.event_id.as_str());
            assert!(client.get("hashes").is_none() && client.get("depth").is_none());
        }
        let redaction: Value = serde_json::from_str(&room.events.last().unwrap().json).unwrap();
        assert!(redaction["redacts"].is_string(), "clients of every version find it at the top");
        assert_eq!(redaction["content"].get("redacts").is_some(), version != "10");
        let create: Value = serde_json::from_str(&room.events[0].json).unwrap();
        let named_after = room.room_id.as_str()[1..] == create["event_id"].as_str().unwrap()[1..];
        assert_eq!(named_after, version == "12");
    }
}

#[test]
fn redacted_events_keep_their_signatures_and_what_clients_need() {
    for version in ["10", "11", "12"] {
        let mut room = Timeline::new(version, "public");
        room.message("alice", "secret").unwrap();
        let target = room.events.last().unwrap().pdu.event_id.clone();
        room.send(NewEvent::redaction(user("alice"), target.clone(), Some("why".to_owned()))).unwrap();
        for built in &room.events {
            let json = redact_client_json(room.version, &built.json).unwrap();
            assert_eq!(redact_client_json(room.version, &json).unwrap(), json, "redacting twice is redacting once");
            let client: Value = serde_json::from_str(&json).unwrap();
            for member in ["event_id", "room_id", "sender", "type", "origin_server_ts"] {
                assert!(client[member] != Value::Null, "{member} of {json}");
            }
            assert!(!json.contains("secret") && !json.contains("why"));
            let pdu = reconstruct(room.version, &json, &built.hidden_json).unwrap();
            verify_event(&public_keys(&room), &pdu, room.version.rules).expect("the signature still holds");
            assert_eq!(format!("${}", reference_hash(&pdu, room.version.rules).unwrap()), built.pdu.event_id.as_str());
        }
        let last: Value =
            serde_json::from_str(&redact_client_json(room.version, &room.events.last().unwrap().json).unwrap())
                .unwrap();
        assert_eq!(last["redacts"], if version == "10" { Value::Null } else { json!(target.as_str()) });
    }
}

#[test]
fn limits_are_those_of_the_specification() {
    let mut room = Timeline::new("12", "public");
    let overhead = {
        room.message("alice", "").unwrap();
        let built = room.events.last().unwrap();
        let pdu = reconstruct(room.version, &built.json, &built.hidden_json).unwrap();
        serde_json::to_string(&pdu).unwrap().len()
    };
    // the depth gets no longer by the few events before the big one
    room.message("alice", &"x".repeat(canonical::MAX_EVENT_BYTES - overhead)).unwrap();
    let too_large = room.message("alice", &"x".repeat(canonical::MAX_EVENT_BYTES - overhead + 1));
    assert!(matches!(too_large, Err(Refused::Build(BuildError::TooLarge))));

    let long = "x".repeat(256);
    assert_eq!(canonical::check_names(&long, None), Err(ContentError::NameTooLong { field: "type" }));
    assert_eq!(canonical::check_names("t", Some(&long)), Err(ContentError::NameTooLong { field: "state_key" }));
    assert_eq!(canonical::check_names("t", Some("a\0")), Err(ContentError::Nul { field: "state_key" }));
    assert_eq!(canonical::check_names("", None), Err(ContentError::EmptyType));
    assert_eq!(canonical::check_names(&long[1..], Some(&long[1..])), Ok(()));
}

#[test]
fn only_canonical_json_is_content() {
    for bad in [
        "1",
        "[]",
        "null",
        "{\"a\":1.0}",
        "{\"a\":-0}",
        "{\"a\":1e3}",
        "{\"a\":9007199254740992}",
        "{\"a\":1e400}",
        "{",
        "",
    ] {
        assert!(canonical::parse_content(bad.as_bytes()).is_err(), "{bad}");
    }
    let nested = |levels: usize| format!("{}{}", "{\"a\":".repeat(levels), "1".to_owned() + &"}".repeat(levels));
    assert!(canonical::parse_content(nested(100).as_bytes()).is_ok());
    assert_eq!(canonical::parse_content(nested(101).as_bytes()), Err(ContentError::TooDeep));
    assert!(canonical::parse_content(nested(100_000).as_bytes()).is_err());
    assert_eq!(content(json!({ "b": 1, "a": -9_007_199_254_740_991_i64 })).len(), 2);
    assert_eq!(RoomVersion::supported().count(), 3);
}

fn value() -> impl Strategy<Value = CanonicalJsonValue> {
    let leaf = prop_oneof![
        Just(CanonicalJsonValue::Null),
        any::<bool>().prop_map(CanonicalJsonValue::Bool),
        any::<i32>().prop_map(|number| CanonicalJsonValue::Integer(number.into())),
        any::<String>().prop_map(CanonicalJsonValue::String),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(CanonicalJsonValue::Array),
            prop::collection::btree_map(any::<String>(), inner, 0..6).prop_map(CanonicalJsonValue::Object),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_built_is_valid_and_reads_back(
        members in prop::collection::btree_map(any::<String>(), value(), 0..8),
        version in prop::sample::select(vec!["10", "11", "12"]),
        state_key in prop::option::of("[a-z\"\\\\é]{0,20}"),
    ) {
        let mut room = Timeline::new(version, "public");
        let content: CanonicalJsonObject = members;
        let mut event = NewEvent::message(user("alice"), "org.example.any", content.clone());
        event.state_key = state_key;
        room.send(event).unwrap();
        let built = room.events.last().unwrap();
        assert_valid(&room, built);
        let again = canonical::parse_content(built.pdu.content.get().as_bytes()).unwrap();
        prop_assert_eq!(again, content);
    }

    #[test]
    fn a_change_of_one_byte_is_noticed(body in "[a-z]{1,20}") {
        let mut room = Timeline::new("12", "public");
        room.message("alice", &body).unwrap();
        let built = room.events.last().unwrap();
        let changed = built.json.replace(&format!("\"body\":\"{body}\""), &format!("\"body\":\"{body}x\""));
        let pdu = reconstruct(room.version, &changed, &built.hidden_json).unwrap();
        prop_assert_ne!(verify_event(&public_keys(&room), &pdu, room.version.rules).unwrap(), Verified::All);
    }
}
