//! Cross-signing keys and signatures.

use anyhow::Result;
use matrixon_testkit::{
    client::{Client, Method, PASSWORD},
    tests,
};
use serde_json::{Value, json};

use crate::{
    crypto::{Device, SigningKey, cross_signing_key},
    env::{Env, Shared, expect_error},
    keys::query,
};

tests![Env: the_first_keys_need_no_password, other_keys_need_the_password, keys_must_be_signed, keys_must_be_keys,
    devices_are_cross_signed, masters_are_signed_by_devices, signatures_of_others_are_private, a_new_master_forgets_the_old];

const KEYS: &str = "/_matrix/client/v3/keys/device_signing/upload";
const SIGNATURES: &str = "/_matrix/client/v3/keys/signatures/upload";

/// A user's cross-signing keys.
struct Identity {
    user_id: String,
    master: SigningKey,
    self_signing: SigningKey,
    user_signing: SigningKey,
}

impl Identity {
    fn new(client: &Client) -> Self {
        let key = || SigningKey::new(None);
        Self { user_id: client.user_id.clone(), master: key(), self_signing: key(), user_signing: key() }
    }

    fn master(&self) -> Value {
        cross_signing_key(&self.user_id, "master", &self.master)
    }

    fn self_signing(&self) -> Value {
        self.master.sign(&self.user_id, &cross_signing_key(&self.user_id, "self_signing", &self.self_signing))
    }

    fn user_signing(&self) -> Value {
        self.master.sign(&self.user_id, &cross_signing_key(&self.user_id, "user_signing", &self.user_signing))
    }

    fn upload(&self) -> Value {
        json!({ "master_key": self.master(), "self_signing_key": self.self_signing(), "user_signing_key": self.user_signing() })
    }
}

fn password(client: &Client) -> Value {
    json!({ "type": "m.login.password", "password": PASSWORD,
            "identifier": { "type": "m.id.user", "user": client.user_id } })
}

async fn the_first_keys_need_no_password(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let identity = Identity::new(&alice);
    for _ in 0..3 {
        assert_eq!(alice.post(KEYS, &identity.upload()).await?, json!({}));
    }
    let own = query(&alice, &alice.user_id).await?;
    let theirs = query(&bob, &alice.user_id).await?;
    for keys in [&own, &theirs] {
        assert_eq!(keys["master_keys"][&alice.user_id], identity.master());
        assert_eq!(keys["self_signing_keys"][&alice.user_id], identity.self_signing());
    }
    assert_eq!(own["user_signing_keys"][&alice.user_id], identity.user_signing());
    assert_eq!(theirs["user_signing_keys"], json!({}), "a user-signing key is its owner's business");
    Ok(())
}

async fn other_keys_need_the_password(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let (first, second) = (Identity::new(&alice), Identity::new(&alice));
    alice.post(KEYS, &json!({ "master_key": first.master() })).await?;
    // one more key is a change too
    let more = json!({ "user_signing_key": first.user_signing() });
    for body in [more.clone(), second.upload()] {
        let reply = alice.request(Method::POST, KEYS, Some(&body)).await?;
        assert_eq!(reply.status, 401, "{}", reply.text);
        assert!(reply.body["flows"].is_array() && reply.body["session"].is_string(), "{}", reply.text);
    }
    let mut body = more;
    body["auth"] = password(&alice);
    alice.post(KEYS, &body).await?;
    let mut body = second.upload();
    let challenge = alice.request(Method::POST, KEYS, Some(&body)).await?;
    body["auth"] = password(&alice);
    body["auth"]["session"] = challenge.body["session"].clone();
    body["auth"]["password"] = "wrong".into();
    assert_eq!(alice.request(Method::POST, KEYS, Some(&body)).await?.status, 401);
    assert_eq!(query(&alice, &alice.user_id).await?["master_keys"][&alice.user_id], first.master());
    body["auth"]["password"] = PASSWORD.into();
    alice.post(KEYS, &body).await?;
    assert_eq!(query(&alice, &alice.user_id).await?["master_keys"][&alice.user_id], second.master());
    Ok(())
}

async fn keys_must_be_signed(env: Shared) -> Result<()> {
    let alice = env.user("alice").await?;
    let (identity, stranger) = (Identity::new(&alice), Identity::new(&alice));
    let alone = json!({ "self_signing_key": identity.self_signing() });
    expect_error(&alice.request(Method::POST, KEYS, Some(&alone)).await?, 400, "M_MISSING_PARAM");
    for name in ["self_signing_key", "user_signing_key"] {
        let mut unsigned = identity.upload();
        unsigned[name].as_object_mut().expect("an object").remove("signatures");
        let mut foreign = identity.upload();
        foreign[name] = stranger.upload()[name].clone();
        for body in [unsigned, foreign] {
            expect_error(&alice.request(Method::POST, KEYS, Some(&body)).await?, 400, "M_INVALID_SIGNATURE");
        }
    }
    assert_eq!(query(&alice, &alice.user_id).await?["master_keys"], json!({}));
    Ok(())
}

async fn keys_must_be_keys(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let key = SigningKey::new(None);
    let good = cross_signing_key(&alice.user_id, "master", &key);
    let mut two = good.clone();
    two["keys"]["ed25519:other"] = "other".into();
    let mut renamed = good.clone();
    renamed["keys"] = json!({ "ed25519:name": key.public });
    let mut short = good.clone();
    short["keys"] = json!({ "ed25519:c2hvcnQ": "c2hvcnQ" });
    for bad in [
        two,
        renamed,
        short,
        cross_signing_key(&bob.user_id, "master", &key),
        cross_signing_key(&alice.user_id, "self_signing", &key),
    ] {
        let reply = alice.request(Method::POST, KEYS, Some(&json!({ "master_key": bad }))).await?;
        expect_error(&reply, 400, "M_INVALID_PARAM");
    }
    alice.post(KEYS, &json!({ "master_key": good })).await?;
    Ok(())
}

async fn devices_are_cross_signed(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let (device, identity) = (Device::new(alice.clone()), Identity::new(&alice));
    let keys = device.keys();
    alice.post("/_matrix/client/v3/keys/upload", &json!({ "device_keys": keys })).await?;
    alice.post(KEYS, &identity.upload()).await?;
    let signed = identity.self_signing.sign(&alice.user_id, &keys);
    let stranger = Identity::new(&alice).self_signing.sign(&alice.user_id, &keys);
    let mut changed = signed.clone();
    changed["algorithms"] = json!([]);
    for (id, object, errcode) in [
        (&*alice.device_id, &stranger, "M_INVALID_SIGNATURE"),
        (&*alice.device_id, &changed, "M_INVALID_SIGNATURE"),
        (&*alice.device_id, &keys, "M_INVALID_SIGNATURE"),
        ("NONE", &signed, "M_NOT_FOUND"),
    ] {
        let answer = alice.post(SIGNATURES, &json!({ &alice.user_id: { id: object } })).await?;
        assert_eq!(answer["failures"][&alice.user_id][id]["errcode"], errcode, "{answer}");
    }
    // what is good is kept though its neighbour is not
    let answer =
        alice.post(SIGNATURES, &json!({ &alice.user_id: { &alice.device_id: signed, "NONE": signed } })).await?;
    assert_eq!(answer["failures"][&alice.user_id].as_object().map(serde_json::Map::len), Some(1), "{answer}");
    let mut expected = signed.clone();
    expected["unsigned"] = json!({});
    for who in [&alice, &bob] {
        assert_eq!(query(who, &alice.user_id).await?["device_keys"][&alice.user_id][&alice.device_id], expected);
    }
    // the device uploads its keys again, and stays cross-signed
    alice.post("/_matrix/client/v3/keys/upload", &json!({ "device_keys": keys })).await?;
    assert_eq!(query(&bob, &alice.user_id).await?["device_keys"][&alice.user_id][&alice.device_id], expected);
    Ok(())
}

async fn masters_are_signed_by_devices(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let (device, identity) = (Device::new(alice.clone()), Identity::new(&alice));
    alice.post("/_matrix/client/v3/keys/upload", &json!({ "device_keys": device.keys() })).await?;
    alice.post(KEYS, &identity.upload()).await?;
    let signed = device.key.sign(&alice.user_id, &identity.master());
    let body = json!({ &alice.user_id: { &identity.master.public: signed } });
    for _ in 0..2 {
        assert_eq!(alice.post(SIGNATURES, &body).await?, json!({ "failures": {} }));
    }
    assert_eq!(query(&bob, &alice.user_id).await?["master_keys"][&alice.user_id], signed);
    let forged = SigningKey::new(Some(&alice.device_id)).sign(&alice.user_id, &identity.master());
    let answer = alice.post(SIGNATURES, &json!({ &alice.user_id: { &identity.master.public: forged } })).await?;
    assert_eq!(answer["failures"][&alice.user_id][&identity.master.public]["errcode"], "M_INVALID_SIGNATURE");
    Ok(())
}

async fn signatures_of_others_are_private(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let (mine, theirs) = (Identity::new(&alice), Identity::new(&bob));
    let signed = mine.user_signing.sign(&alice.user_id, &theirs.master());
    let body = json!({ &bob.user_id: { &theirs.master.public: signed } });
    let answer = alice.post(SIGNATURES, &body).await?;
    assert_eq!(answer["failures"][&bob.user_id][&theirs.master.public]["errcode"], "M_NOT_FOUND", "{answer}");
    alice.post(KEYS, &mine.upload()).await?;
    bob.post(KEYS, &theirs.upload()).await?;
    assert_eq!(alice.post(SIGNATURES, &body).await?, json!({ "failures": {} }));
    assert_eq!(query(&alice, &bob.user_id).await?["master_keys"][&bob.user_id], signed);
    assert_eq!(query(&bob, &bob.user_id).await?["master_keys"][&bob.user_id], theirs.master());
    let carol = env.user("carol").await?;
    assert_eq!(query(&carol, &bob.user_id).await?["master_keys"][&bob.user_id], theirs.master());
    // nobody signs in the name of another, nor anything but master keys of others
    let forged =
        json!({ &bob.user_id: { &theirs.master.public: theirs.user_signing.sign(&alice.user_id, &theirs.master()) } });
    let answer = alice.post(SIGNATURES, &forged).await?;
    assert_eq!(answer["failures"][&bob.user_id][&theirs.master.public]["errcode"], "M_INVALID_SIGNATURE", "{answer}");
    let wrong = mine.user_signing.sign(&alice.user_id, &theirs.self_signing());
    let answer = alice.post(SIGNATURES, &json!({ &bob.user_id: { &theirs.self_signing.public: wrong } })).await?;
    assert_eq!(answer["failures"][&bob.user_id][&theirs.self_signing.public]["errcode"], "M_NOT_FOUND", "{answer}");
    Ok(())
}

async fn a_new_master_forgets_the_old(env: Shared) -> Result<()> {
    let (alice, bob) = env.pair().await?;
    let (mine, theirs, new) = (Identity::new(&alice), Identity::new(&bob), Identity::new(&bob));
    alice.post(KEYS, &mine.upload()).await?;
    bob.post(KEYS, &theirs.upload()).await?;
    let signed = mine.user_signing.sign(&alice.user_id, &theirs.master());
    alice.post(SIGNATURES, &json!({ &bob.user_id: { &theirs.master.public: signed } })).await?;
    bob.post(KEYS, &json!({ "master_key": new.master(), "auth": password(&bob) })).await?;
    let seen = query(&bob, &bob.user_id).await?;
    assert_eq!(seen["master_keys"][&bob.user_id], new.master());
    assert_eq!(
        (&seen["self_signing_keys"], &seen["user_signing_keys"]),
        (&json!({}), &json!({})),
        "signed by nobody now"
    );
    assert_eq!(query(&alice, &bob.user_id).await?["master_keys"][&bob.user_id], new.master());
    Ok(())
}
