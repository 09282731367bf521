//! Signed JSON: <https://spec.matrix.org/v1.19/appendices/#signing-json>

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use ruma::{CanonicalJsonObject, CanonicalJsonValue, SigningKeyAlgorithm, signatures::verify_canonical_json_bytes};

use crate::error::AuthError;

/// What a signature is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Valid,
    /// There is none by this key.
    Missing,
    /// The key or the signature is not one of Ed25519 at all.
    Unreadable,
    /// A signature, but of something else or by another key.
    Wrong,
}

/// An Ed25519 public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublicKey([u8; 32]);

impl PublicKey {
    /// None: not 32 bytes in unpadded Base64.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD_NO_PAD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }
}

/// An object with `signatures`, which may hold `unsigned` too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SignedObject(pub(crate) CanonicalJsonObject);

impl SignedObject {
    /// `M_BAD_JSON` ← not an object, or with numbers that canonical JSON does not know · `M_TOO_LARGE` ← over `limit`
    pub(crate) fn parse(json: &str, limit: usize) -> Result<Self, AuthError> {
        if json.len() > limit {
            return Err(AuthError::TooLarge("a key is too large"));
        }
        serde_json::from_str(json).map(Self).map_err(|error| AuthError::BadJson(format!("a key: {error}")))
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(CanonicalJsonValue::as_str)
    }

    /// The member `keys`, if all of it are strings.
    pub(crate) fn keys(&self) -> Option<Vec<(&str, &str)>> {
        let keys = self.0.get("keys")?.as_object()?;
        keys.iter().map(|(id, key)| Some((id.as_str(), key.as_str()?))).collect()
    }

    pub(crate) fn key(&self, key_id: &str) -> Option<&str> {
        self.0.get("keys")?.as_object()?.get(key_id)?.as_str()
    }

    /// What is signed: everything but `signatures` and `unsigned`, as canonical JSON.
    pub(crate) fn signed_part(&self) -> String {
        let mut object = self.0.clone();
        object.remove("signatures");
        object.remove("unsigned");
        CanonicalJsonValue::Object(object).to_string()
    }

    /// The signatures of one user: key id, signature. None of them if the member has another shape.
    pub(crate) fn signatures_of(&self, user_id: &str) -> Vec<(&str, &str)> {
        let of_user = self.0.get("signatures").and_then(CanonicalJsonValue::as_object).and_then(|all| all.get(user_id));
        let of_user = of_user.and_then(CanonicalJsonValue::as_object);
        of_user.into_iter().flatten().filter_map(|(id, signature)| Some((id.as_str(), signature.as_str()?))).collect()
    }

    pub(crate) fn signature(&self, user_id: &str, key_id: &str) -> Option<&str> {
        self.signatures_of(user_id).into_iter().find(|(id, _)| *id == key_id).map(|(_, signature)| signature)
    }

    /// Whether `user_id` signed this object with `key`, which is called `key_id`.
    pub(crate) fn verify(&self, user_id: &str, key_id: &str, key: &str) -> Verdict {
        let Some(signature) = self.signature(user_id, key_id) else { return Verdict::Missing };
        verify(&self.signed_part(), signature, key)
    }

    pub(crate) fn add_signature(&mut self, user_id: &str, key_id: &str, signature: &str) {
        let object = |value: &mut CanonicalJsonValue| {
            if value.as_object().is_none() {
                *value = CanonicalJsonValue::Object(CanonicalJsonObject::new());
            }
        };
        let mut members = &mut self.0;
        for name in ["signatures", user_id] {
            let value = members.entry(name.to_owned()).or_insert(CanonicalJsonValue::Null);
            object(value);
            let CanonicalJsonValue::Object(inner) = value else { return };
            members = inner;
        }
        members.insert(key_id.to_owned(), CanonicalJsonValue::String(signature.to_owned()));
    }

    pub(crate) fn into_json(self) -> String {
        CanonicalJsonValue::Object(self.0).to_string()
    }
}

/// Whether `signature` is one of the canonical JSON `signed` by `key`.
pub(crate) fn verify(signed: &str, signature: &str, key: &str) -> Verdict {
    let Some(key) = PublicKey::parse(key) else { return Verdict::Unreadable };
    let Some(signature) = decode_signature(signature) else { return Verdict::Unreadable };
    match verify_canonical_json_bytes(&SigningKeyAlgorithm::Ed25519, &key.0, &signature, signed.as_bytes()) {
        Ok(()) => Verdict::Valid,
        Err(_) => Verdict::Wrong,
    }
}

/// The order of the group, little-endian: the second half of every signature is below it.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// None: not 64 bytes in unpadded Base64, or none that any Ed25519 key could have made.
fn decode_signature(text: &str) -> Option<[u8; 64]> {
    let bytes: [u8; 64] = STANDARD_NO_PAD.decode(text).ok()?.try_into().ok()?;
    let scalar = bytes[32..].iter().rev();
    scalar.lt(ORDER.iter().rev()).then_some(bytes)
}
