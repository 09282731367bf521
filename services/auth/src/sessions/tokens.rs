//! Opaque tokens. The database knows only their SHA-256: 40 random characters need no slow hash.

use matrixon_runtime::random;
use sha2::{Digest as _, Sha256};

/// 238 bits.
const RANDOM_CHARS: usize = 40;

/// A new token, on its way to the client.
pub(crate) struct Token {
    pub text: String,
    pub sha256: [u8; 32],
}

impl Token {
    pub(crate) fn new_access() -> Self {
        Self::new("mxa_")
    }

    pub(crate) fn new_refresh() -> Self {
        Self::new("mxr_")
    }

    /// For `m.login.token`.
    pub(crate) fn new_login() -> Self {
        Self::new("mxl_")
    }

    /// Good for telling another service who one is, and nothing else.
    pub(crate) fn new_openid() -> Self {
        Self::new("mxo_")
    }

    /// The secret of a link in a mail.
    pub(crate) fn new_mail() -> Self {
        Self::new("mxm_")
    }

    fn new(prefix: &str) -> Self {
        let text = random::token(prefix, RANDOM_CHARS);
        Self { sha256: hash_token(&text), text }
    }
}

pub(crate) fn hash_token(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}
