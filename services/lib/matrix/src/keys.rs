//! The server's signing key as text: `ed25519 <version> <unpadded base64 of the 32-byte seed>`, the format that
//! Synapse's `signing.key` has too, so that a server can bring its key along.

use base64::{
    Engine as _, alphabet,
    engine::{
        DecodePaddingMode,
        general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD_NO_PAD, URL_SAFE_NO_PAD},
    },
};
use ruma::signatures::Ed25519KeyPair;

/// PKCS #8 v1 wrapping of an ed25519 seed (RFC 8410 §7).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// Keys made elsewhere may be padded, or have bits beyond their last byte.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("a signing key is one line `ed25519 <version> <base64 of 32 bytes>`")]
    Format,
    #[error("the key version `{0}` may only have letters, digits and underscores")]
    Version(String),
    #[error("the signing key is not usable: {0}")]
    Key(String),
}

/// Reads the first line of a key file.
pub fn parse_signing_key(text: &str) -> Result<Ed25519KeyPair, KeyError> {
    let line = text.lines().find(|line| !line.trim().is_empty()).ok_or(KeyError::Format)?;
    let mut words = line.split_whitespace();
    let (Some("ed25519"), Some(version), Some(seed), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(KeyError::Format);
    };
    if version.is_empty() || !version.chars().all(|char| char.is_ascii_alphanumeric() || char == '_') {
        return Err(KeyError::Version(version.to_owned()));
    }
    let seed = LENIENT.decode(seed).map_err(|_| KeyError::Format)?;
    let seed: [u8; 32] = seed.try_into().map_err(|_| KeyError::Format)?;
    let document: Vec<u8> = PKCS8_PREFIX.iter().chain(&seed).copied().collect();
    Ed25519KeyPair::from_der(&document, version.to_owned()).map_err(|error| KeyError::Key(error.to_string()))
}

/// The text of a key file made from 32 random bytes; the version is derived from them.
pub fn format_signing_key(seed: &[u8; 32]) -> String {
    use sha2::Digest as _;
    let digest = URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(seed));
    let version: String = digest.chars().filter(char::is_ascii_alphanumeric).take(6).collect();
    format!("ed25519 a_{version} {}\n", STANDARD_NO_PAD.encode(seed))
}
