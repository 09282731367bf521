//! Sessions in the cache are sealed with a key that only the session id gives: whoever reads the cache learns neither
//! ids nor the passwords of registrations under way.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use matrixon_runtime::random;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::{Digest as _, Sha256};

/// Where in the cache a session lies.
pub(super) fn cache_key(session_id: &str) -> String {
    let digest = Sha256::new().chain_update("matrixon uia name ").chain_update(session_id).finalize();
    format!("uia:{}", URL_SAFE_NO_PAD.encode(digest))
}

pub(super) fn seal(session_id: &str, mut plain: Vec<u8>) -> Option<Vec<u8>> {
    let nonce: [u8; NONCE_LEN] = random::bytes();
    let nonced = Nonce::assume_unique_for_key(nonce);
    key(session_id)?.seal_in_place_append_tag(nonced, Aad::empty(), &mut plain).ok()?;
    plain.extend_from_slice(&nonce);
    Some(plain)
}

pub(super) fn open(session_id: &str, sealed: &[u8]) -> Option<Vec<u8>> {
    let (cipher, nonce) = sealed.split_last_chunk::<NONCE_LEN>()?;
    let mut cipher = cipher.to_vec();
    let nonced = Nonce::assume_unique_for_key(*nonce);
    let plain = key(session_id)?.open_in_place(nonced, Aad::empty(), &mut cipher).ok()?.len();
    cipher.truncate(plain);
    Some(cipher)
}

fn key(session_id: &str) -> Option<LessSafeKey> {
    let bytes = Sha256::new().chain_update("matrixon uia key ").chain_update(session_id).finalize();
    Some(LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &bytes).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_session_id_opens() {
        let sealed = seal("id", b"secret".to_vec()).unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert_eq!(open("id", &sealed).unwrap(), b"secret");
        assert_ne!(sealed, seal("id", b"secret".to_vec()).unwrap());
        assert_eq!(open("other", &sealed), None);
        assert_eq!(open("id", &sealed[1..]), None);
        assert_eq!(open("id", b""), None);
    }
}
