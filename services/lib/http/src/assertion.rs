//! The identity assertion: what the gateway found out about a request, with a MAC by the cluster secret.
//!
//! On the wire: `base64url(claims, protobuf) . base64url(HMAC-SHA256(claims))`. It lives for 30 s, or 5 s beyond
//! the request's own deadline if that is later, and a service accepts the previous secret too, so that secrets rotate
//! without a failed request.

#[cfg(test)]
mod tests;

use std::{net::IpAddr, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderValue;
use matrixon_runtime::{clock::Clock, config::ClusterConfig};
use parking_lot::RwLock;
use prost::Message;
use ruma::{OwnedDeviceId, OwnedUserId};
use sha2::Sha256;

use crate::access::Standing;

/// How long an assertion is good for at least.
pub const LIFETIME_MS: i64 = 30_000;

/// Bytes of a MAC in base64url without padding.
const MAC_CHARS: usize = 43;

/// A local user's session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserAuth {
    pub user_id: OwnedUserId,
    pub device_id: OwnedDeviceId,
    pub admin: bool,
    /// Handlers ask it where the route alone cannot tell: a suspended user may redact own events only.
    pub standing: Standing,
    /// Names the session without giving it away.
    pub token_sha256: [u8; 32],
}

/// What the gateway asserts about a request. Without `user`: anonymous, on routes that need nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assertion {
    pub user: Option<UserAuth>,
    /// Whoever administers without an account; see [`crate::AdminAuth`].
    pub machine: Option<String>,
    pub remote_addr: Option<IpAddr>,
    pub request_id: String,
    pub idempotency_key: String,
    pub expires_ms: i64,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssertionError {
    #[error("no assertion")]
    Missing,
    #[error("malformed assertion")]
    Malformed,
    #[error("the assertion's code does not match: another cluster secret made it")]
    WrongMac,
    #[error("the assertion has expired")]
    Expired,
}

/// Fields are only ever added: versions N and N-1 read each other's.
#[derive(Clone, PartialEq, Message)]
struct Claims {
    #[prost(string, tag = "1")]
    user_id: String,
    #[prost(string, tag = "2")]
    device_id: String,
    #[prost(bool, tag = "3")]
    admin: bool,
    #[prost(bytes = "vec", tag = "4")]
    token_sha256: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    remote_addr: Vec<u8>,
    #[prost(string, tag = "6")]
    request_id: String,
    #[prost(string, tag = "7")]
    idempotency_key: String,
    #[prost(int64, tag = "8")]
    expires_ms: i64,
    /// Bits of [`Standing`].
    #[prost(uint32, tag = "9")]
    standing: u32,
    #[prost(string, tag = "20")]
    machine: String,
}

/// Makes assertions (the gateway). Clones share the key.
#[derive(Clone)]
pub struct Signer {
    key: Arc<RwLock<Hmac<Sha256>>>,
}

impl Signer {
    pub fn new(secret: &[u8]) -> Self {
        Self { key: Arc::new(RwLock::new(keyed(secret))) }
    }

    /// The secret has been rotated: what is signed from now on is signed with the new one.
    pub fn set_secret(&self, secret: &[u8]) {
        *self.key.write() = keyed(secret);
    }

    pub fn sign(&self, assertion: &Assertion) -> HeaderValue {
        let claims = Claims::from(assertion).encode_to_vec();
        let key = self.key.read().clone();
        let mac = key.chain_update(&claims).finalize().into_bytes();
        let mut text = String::with_capacity(claims.len() * 4 / 3 + MAC_CHARS + 4);
        BASE64.encode_string(&claims, &mut text);
        text.push('.');
        BASE64.encode_string(mac, &mut text);
        HeaderValue::from_maybe_shared(bytes::Bytes::from(text)).expect("base64url and a dot are valid in a header")
    }
}

/// Checks assertions (every service).
#[derive(Clone)]
pub struct Verifier(Arc<VerifierInner>);

struct VerifierInner {
    keys: RwLock<Keys>,
    clock: Clock,
}

struct Keys {
    current: Hmac<Sha256>,
    previous: Option<Hmac<Sha256>>,
}

impl Keys {
    fn new(secret: &[u8], previous: Option<&[u8]>) -> Self {
        Self { current: keyed(secret), previous: previous.map(keyed) }
    }

    fn matches(&self, claims: &[u8], mac: &[u8]) -> bool {
        let matches = |key: &Hmac<Sha256>| key.clone().chain_update(claims).verify_slice(mac).is_ok();
        matches(&self.current) || self.previous.as_ref().is_some_and(matches)
    }
}

impl Verifier {
    pub fn new(secret: &[u8], previous: Option<&[u8]>, clock: Clock) -> Self {
        Self(Arc::new(VerifierInner { keys: RwLock::new(Keys::new(secret, previous)), clock }))
    }

    /// The secret has been rotated: these two count from now on.
    pub fn set_secrets(&self, secret: &[u8], previous: Option<&[u8]>) {
        *self.0.keys.write() = Keys::new(secret, previous);
    }

    pub fn from_config(config: &ClusterConfig, clock: Clock) -> Self {
        let previous = (!config.previous_secret.is_empty()).then(|| config.previous_secret.expose().as_bytes());
        Self::new(config.secret.expose().as_bytes(), previous, clock)
    }

    pub fn verify(&self, header: Option<&HeaderValue>) -> Result<Assertion, AssertionError> {
        let text = header.ok_or(AssertionError::Missing)?.as_bytes();
        let dot = text.len().checked_sub(MAC_CHARS + 1).ok_or(AssertionError::Malformed)?;
        if text[dot] != b'.' {
            return Err(AssertionError::Malformed);
        }
        let claims = BASE64.decode(&text[..dot]).map_err(|_| AssertionError::Malformed)?;
        let mac = BASE64.decode(&text[dot + 1..]).map_err(|_| AssertionError::Malformed)?;
        if !self.0.keys.read().matches(&claims, &mac) {
            return Err(AssertionError::WrongMac);
        }
        let claims = Claims::decode(&claims[..]).map_err(|_| AssertionError::Malformed)?;
        if claims.expires_ms < self.0.clock.now_ms() {
            return Err(AssertionError::Expired);
        }
        claims.try_into()
    }
}

fn keyed(secret: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(secret).expect("HMAC takes keys of any length")
}

impl From<&Assertion> for Claims {
    fn from(assertion: &Assertion) -> Self {
        let remote_addr = match assertion.remote_addr {
            Some(IpAddr::V4(address)) => address.octets().to_vec(),
            Some(IpAddr::V6(address)) => address.octets().to_vec(),
            None => Vec::new(),
        };
        let mut claims = Self {
            remote_addr,
            request_id: assertion.request_id.clone(),
            idempotency_key: assertion.idempotency_key.clone(),
            expires_ms: assertion.expires_ms,
            machine: assertion.machine.clone().unwrap_or_default(),
            ..Self::default()
        };
        if let Some(user) = &assertion.user {
            user.user_id.as_str().clone_into(&mut claims.user_id);
            user.device_id.as_str().clone_into(&mut claims.device_id);
            claims.admin = user.admin;
            claims.standing = user.standing.to_bits();
            claims.token_sha256 = user.token_sha256.to_vec();
        }
        claims
    }
}

impl TryFrom<Claims> for Assertion {
    type Error = AssertionError;

    fn try_from(claims: Claims) -> Result<Self, AssertionError> {
        let remote_addr = match *claims.remote_addr.as_slice() {
            [] => None,
            [a, b, c, d] => Some(IpAddr::from([a, b, c, d])),
            _ => {
                let octets: [u8; 16] = claims.remote_addr.try_into().map_err(|_| AssertionError::Malformed)?;
                Some(IpAddr::from(octets))
            }
        };
        let user = if claims.user_id.is_empty() {
            None
        } else {
            Some(UserAuth {
                user_id: claims.user_id.try_into().map_err(|_| AssertionError::Malformed)?,
                device_id: claims.device_id.into(),
                admin: claims.admin,
                standing: Standing::from_bits(claims.standing),
                token_sha256: claims.token_sha256.try_into().map_err(|_| AssertionError::Malformed)?,
            })
        };
        Ok(Self {
            user,
            machine: Some(claims.machine).filter(|machine| !machine.is_empty()),
            remote_addr,
            request_id: claims.request_id,
            idempotency_key: claims.idempotency_key,
            expires_ms: claims.expires_ms,
        })
    }
}
