//! The parsers of uploaded keys, with whatever clients may send.

use proptest::prelude::*;
use ruma::{
    CanonicalJsonObject, DeviceId, UserId, device_id,
    signatures::{Ed25519KeyPair, sign_json},
    user_id,
};
use serde_json::{Value, json};

use super::{
    device_keys::DeviceKeys,
    one_time::{OrderedKeys, Owner, check_keys},
    signed::{SignedObject, Verdict},
    upload::Upload,
};

fn user() -> &'static UserId {
    user_id!("@alice:example.org")
}

fn device() -> &'static DeviceId {
    device_id!("PHONE")
}

fn pair(name: &str) -> (Ed25519KeyPair, String) {
    use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
    let pair = Ed25519KeyPair::from_der(&Ed25519KeyPair::generate(), name.to_owned()).unwrap();
    let public = STANDARD_NO_PAD.encode(pair.public_key());
    (pair, public)
}

fn sign(pair: &Ed25519KeyPair, object: &Value) -> Value {
    let mut object: CanonicalJsonObject = serde_json::from_value(object.clone()).unwrap();
    sign_json(user().as_str(), pair, &mut object).unwrap();
    serde_json::to_value(object).unwrap()
}

fn identity(pair: &Ed25519KeyPair, public: &str) -> Value {
    let keys = json!({ "user_id": user(), "device_id": device(), "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
                       "keys": { "ed25519:PHONE": public, "curve25519:PHONE": public } });
    sign(pair, &keys)
}

fn check(keys: &Value) -> Result<DeviceKeys, crate::AuthError> {
    DeviceKeys::check(&keys.to_string(), user(), device())
}

#[test]
fn any_change_of_signed_keys_is_seen() {
    let (pair, public) = pair("PHONE");
    let keys = identity(&pair, &public);
    check(&keys).unwrap();
    for (name, value) in [("algorithms", json!([])), ("more", json!(1)), ("keys", json!({ "ed25519:PHONE": public }))] {
        let mut changed = keys.clone();
        changed[name] = value;
        assert!(check(&changed).is_err(), "{changed}");
    }
    let mut unsigned = keys;
    unsigned["unsigned"] = json!({ "device_display_name": "x" });
    assert!(!check(&unsigned).unwrap().into_json().contains("unsigned"));
}

/// Test suites upload such keys, and other servers take them.
#[test]
fn placeholders_pass() {
    for (keys, signatures) in [
        (json!({ "ed25519:PHONE": "ed25519+key" }), json!({ user().as_str(): { "ed25519:PHONE": "self+signature" } })),
        (json!({ "ed25519:PHONE": "base64publicidentitykey2" }), json!({})),
        (json!({ "ed25519:test": "c3op6BJi8aUnDGA541Q6TbTPmbiy1GqGv-zzXDQM9Us" }), json!({})),
        (
            json!({ "ed25519:PHONE": "MKkClRdltZlOHyCzxiDrm7MsDAsohXmAyeu2cYO6how" }),
            json!({ user().as_str(): { "ed25519:PHONE":
                "KUQR2vSQvcv40MiKoJSW7kfi9vBDhmUtzZ9/pBzteYZVNw8KB0INPle3w71huQY/6tkk3Kfi/mzo7cNkiiHkuQ" } }),
        ),
    ] {
        let body = json!({ "user_id": user(), "device_id": device(), "algorithms": [], "keys": keys, "signatures": signatures });
        check(&body).unwrap();
    }
}

#[test]
fn cross_signatures_stay_with_what_they_sign() {
    let ((phone, public), (own, own_public)) = (pair("PHONE"), pair("cross"));
    let keys = identity(&phone, &public);
    let mut crossed = DeviceKeys::read(&sign(&own, &keys).to_string()).unwrap();
    for _ in 0..2 {
        crossed = check(&keys).unwrap().replacing(&crossed, user(), device()).unwrap();
        assert_eq!(crossed.object().verify(user().as_str(), "ed25519:cross", &own_public), Verdict::Valid);
    }
    let mut less = keys;
    less["algorithms"] = json!([]);
    less.as_object_mut().unwrap().remove("signatures");
    let less = check(&sign(&phone, &less)).unwrap().replacing(&crossed, user(), device()).unwrap();
    assert_eq!(less.object().verify(user().as_str(), "ed25519:cross", &own_public), Verdict::Missing);
    let (other, other_public) = pair("PHONE");
    assert!(check(&identity(&other, &other_public)).unwrap().replacing(&less, user(), device()).is_err());
}

#[test]
fn keys_keep_the_order_of_their_upload() {
    let upload = Upload::parse(br#"{"one_time_keys":{"a:z":"1","a:a":"2","b:m":"3"}}"#);
    assert!(upload.is_ok());
    let keys: OrderedKeys = serde_json::from_str(r#"{"a:z":"1","a:a":"2","b:m":"3"}"#).unwrap();
    let owner = Owner { user_id: user(), device_id: device(), signing_key: None };
    let ids: Vec<String> = check_keys(&keys, &owner).unwrap().into_iter().map(|key| key.key_id).collect();
    assert_eq!(ids, ["z", "a", "m"]);
}

/// JSON of any shape, with the names and values that the parsers look for.
fn any_json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        Just("ed25519:PHONE".to_owned()),
        Just("@alice:example.org".to_owned()),
        Just("MKkClRdltZlOHyCzxiDrm7MsDAsohXmAyeu2cYO6how".to_owned()),
        any::<String>()
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    let name = prop_oneof![
        Just("user_id".to_owned()),
        Just("device_id".to_owned()),
        Just("keys".to_owned()),
        Just("key".to_owned()),
        Just("signatures".to_owned()),
        Just("algorithms".to_owned()),
        text
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map(name.clone(), inner, 0..6).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn nothing_breaks_the_parsers(value in any_json()) {
        let json = value.to_string();
        let (_, public) = pair("PHONE");
        let _refused = DeviceKeys::check(&json, user(), device());
        let _refused = Upload::parse(json.as_bytes());
        if let Ok(object) = SignedObject::parse(&json, 1 << 20) {
            let before = object.signed_part();
            let _verdict = object.verify(user().as_str(), "ed25519:PHONE", &public);
            let mut signed = object;
            signed.add_signature(user().as_str(), "ed25519:PHONE", "x");
            prop_assert_eq!(signed.signature(user().as_str(), "ed25519:PHONE"), Some("x"));
            prop_assert_eq!(signed.signed_part(), before);
        }
        if let Ok(keys) = serde_json::from_str::<OrderedKeys>(&json) {
            let owner = Owner { user_id: user(), device_id: device(), signing_key: Some(&public) };
            for key in check_keys(&keys, &owner).unwrap_or_default() {
                prop_assert!(serde_json::from_str::<Value>(&key.json).is_ok());
            }
        }
    }

    #[test]
    fn what_is_signed_verifies_and_nothing_else(value in any_json(), other in any_json()) {
        let object = json!({ "value": value });
        prop_assume!(serde_json::from_value::<CanonicalJsonObject>(object.clone()).is_ok());
        let (pair, public) = pair("PHONE");
        let signed = sign(&pair, &object);
        let parsed = SignedObject::parse(&signed.to_string(), 1 << 20).unwrap();
        prop_assert_eq!(parsed.verify(user().as_str(), "ed25519:PHONE", &public), Verdict::Valid);
        let mut changed = signed;
        changed["value"] = other.clone();
        if let Ok(parsed) = SignedObject::parse(&changed.to_string(), 1 << 20) {
            let expected = if other == value { Verdict::Valid } else { Verdict::Wrong };
            prop_assert_eq!(parsed.verify(user().as_str(), "ed25519:PHONE", &public), expected);
        }
    }
}
