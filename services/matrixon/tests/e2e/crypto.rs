//! What a client's cryptography would do: keys, and signatures of JSON.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use matrixon_testkit::client::Client;
use ruma::{
    CanonicalJsonObject,
    signatures::{Ed25519KeyPair, sign_json},
};
use serde_json::{Value, json};

/// An Ed25519 key that signs.
pub(crate) struct SigningKey {
    pair: Ed25519KeyPair,
    /// Unpadded Base64.
    pub public: String,
}

impl SigningKey {
    /// Of a device, or of cross-signing, which names keys by themselves.
    pub(crate) fn new(device_id: Option<&str>) -> Self {
        let document = Ed25519KeyPair::generate();
        let unnamed = Ed25519KeyPair::from_der(&document, "none".to_owned()).expect("a generated key is a key");
        let public = STANDARD_NO_PAD.encode(unnamed.public_key());
        let name = device_id.unwrap_or(&public).to_owned();
        let pair = Ed25519KeyPair::from_der(&document, name).expect("a generated key is a key");
        Self { pair, public }
    }

    pub(crate) fn id(&self) -> String {
        format!("ed25519:{}", self.pair.version())
    }

    /// The object with one more signature.
    pub(crate) fn sign(&self, user_id: &str, object: &Value) -> Value {
        let mut object: CanonicalJsonObject = serde_json::from_value(object.clone()).expect("an object");
        sign_json(user_id, &self.pair, &mut object).expect("an object can be signed");
        serde_json::to_value(object).expect("JSON")
    }
}

/// A session with identity keys.
pub(crate) struct Device {
    pub client: Client,
    pub key: SigningKey,
}

impl Device {
    pub(crate) fn new(client: Client) -> Self {
        let key = SigningKey::new(Some(&client.device_id));
        Self { client, key }
    }

    /// What it uploads as `device_keys`.
    pub(crate) fn keys(&self) -> Value {
        let (user_id, device_id) = (&self.client.user_id, &self.client.device_id);
        let keys = json!({
            "user_id": user_id, "device_id": device_id,
            "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
            "keys": { self.key.id(): self.key.public, format!("curve25519:{device_id}"): random_key() },
        });
        self.key.sign(user_id, &keys)
    }

    /// A one-time key.
    pub(crate) fn one_time_key(&self) -> Value {
        self.key.sign(&self.client.user_id, &json!({ "key": random_key() }))
    }

    /// `count` of them, named `signed_curve25519:<prefix>00000`, `…00001` and so on.
    pub(crate) fn one_time_keys(&self, prefix: &str, count: usize) -> Value {
        (0..count).map(|n| (format!("signed_curve25519:{prefix}{n:05}"), self.one_time_key())).collect()
    }

    pub(crate) fn fallback_key(&self) -> Value {
        self.key.sign(&self.client.user_id, &json!({ "key": random_key(), "fallback": true }))
    }
}

/// 32 bytes that pass for a Curve25519 key.
pub(crate) fn random_key() -> String {
    STANDARD_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// A cross-signing key as it is uploaded, not signed yet.
pub(crate) fn cross_signing_key(user_id: &str, usage: &str, key: &SigningKey) -> Value {
    json!({ "user_id": user_id, "usage": [usage], "keys": { format!("ed25519:{}", key.public): key.public } })
}
