//! Encryption of a backup: chunks of 64 KiB under ChaCha20-Poly1305 with a key of this backup alone.
//!
//! The nonce of a chunk is its number and whether it is the last one (the STREAM construction, as age has it): chunks
//! cannot be left out, repeated, reordered or cut off unnoticed.

use anyhow::{Result, anyhow, bail, ensure};
use matrixon_runtime::{config::Secret, random};
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, Salt},
};

pub(super) const SALT: usize = 32;
const CHUNK: usize = 64 * 1024;
const TAG: usize = 16;
const LEAST_CHARACTERS: usize = 32;

/// Both directions: a key and the number of the next chunk.
pub(super) struct Seal {
    key: LessSafeKey,
    counter: u64,
    pending: Vec<u8>,
}

impl Seal {
    pub(super) fn new(secret: &Secret, salt: &[u8; SALT]) -> Result<Self> {
        let text = secret.expose();
        ensure!(
            text.chars().count() >= LEAST_CHARACTERS,
            "`backup.encryption_key` is too short; it needs at least {LEAST_CHARACTERS} characters, for example from `openssl rand -hex 32`"
        );
        let secret = Salt::new(HKDF_SHA256, salt).extract(text.as_bytes());
        let derived = secret
            .expand(&[b"matrixon backup v1"], &CHACHA20_POLY1305)
            .map_err(|_| anyhow!("no key can be derived"))?;
        Ok(Self { key: LessSafeKey::new(UnboundKey::from(derived)), counter: 0, pending: Vec::new() })
    }

    pub(super) fn new_salt() -> [u8; SALT] {
        random::bytes()
    }

    /// Takes plain bytes and gives what is ready of the sealed ones.
    pub(super) fn seal(&mut self, plain: &[u8]) -> Result<Vec<u8>> {
        self.pending.extend_from_slice(plain);
        let mut sealed = Vec::new();
        // the last chunk is only known at the end
        while self.pending.len() > CHUNK {
            let rest = self.pending.split_off(CHUNK);
            let chunk = std::mem::replace(&mut self.pending, rest);
            sealed.extend(self.seal_chunk(chunk, false)?);
        }
        Ok(sealed)
    }

    pub(super) fn seal_last(&mut self) -> Result<Vec<u8>> {
        let chunk = std::mem::take(&mut self.pending);
        self.seal_chunk(chunk, true)
    }

    /// The inverse of [`Seal::seal`].
    pub(super) fn open(&mut self, sealed: &[u8]) -> Result<Vec<u8>> {
        self.pending.extend_from_slice(sealed);
        let mut plain = Vec::new();
        while self.pending.len() > CHUNK + TAG {
            let rest = self.pending.split_off(CHUNK + TAG);
            let chunk = std::mem::replace(&mut self.pending, rest);
            plain.extend(self.open_chunk(chunk, false)?);
        }
        Ok(plain)
    }

    pub(super) fn open_last(&mut self) -> Result<Vec<u8>> {
        let chunk = std::mem::take(&mut self.pending);
        self.open_chunk(chunk, true)
    }

    fn seal_chunk(&mut self, mut chunk: Vec<u8>, last: bool) -> Result<Vec<u8>> {
        let nonce = self.nonce(last);
        self.key
            .seal_in_place_append_tag(nonce, Aad::empty(), &mut chunk)
            .map_err(|_| anyhow!("a chunk cannot be sealed"))?;
        Ok(chunk)
    }

    fn open_chunk(&mut self, mut chunk: Vec<u8>, last: bool) -> Result<Vec<u8>> {
        let nonce = self.nonce(last);
        let Ok(plain) = self.key.open_in_place(nonce, Aad::empty(), &mut chunk) else {
            bail!("the backup cannot be decrypted: `backup.encryption_key` is another one, or the backup is damaged");
        };
        let length = plain.len();
        chunk.truncate(length);
        Ok(chunk)
    }

    fn nonce(&mut self, last: bool) -> Nonce {
        let mut nonce = [0; 12];
        nonce[3..11].copy_from_slice(&self.counter.to_be_bytes());
        nonce[11] = last.into();
        self.counter += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    fn seal(plain: &[u8]) -> Vec<u8> {
        let mut seal = Seal::new(&Secret::new(KEY), &[7; SALT]).unwrap();
        let mut sealed = seal.seal(plain).unwrap();
        sealed.extend(seal.seal_last().unwrap());
        sealed
    }

    fn open(sealed: &[u8], key: &str) -> Result<Vec<u8>> {
        let mut seal = Seal::new(&Secret::new(key), &[7; SALT])?;
        let mut plain = Vec::new();
        for piece in sealed.chunks(1_000) {
            plain.extend(seal.open(piece)?);
        }
        plain.extend(seal.open_last()?);
        Ok(plain)
    }

    #[test]
    fn what_is_sealed_opens_whatever_its_length() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            let plain: Vec<u8> = (0..length).map(|at| at as u8).collect();
            assert_eq!(open(&seal(&plain), KEY).unwrap(), plain, "{length}");
        }
    }

    #[test]
    fn damage_is_noticed() {
        let sealed = seal(&vec![1; 2 * CHUNK + 5]);
        let piece = CHUNK + TAG;
        let mut flipped = sealed.clone();
        flipped[piece + 9] ^= 1;
        let swapped = [&sealed[piece..2 * piece], &sealed[..piece], &sealed[2 * piece..]].concat();
        let cut = &sealed[..2 * piece];
        let without_first = &sealed[piece..];
        for damaged in [&flipped[..], &swapped, cut, without_first, &[]] {
            assert!(open(damaged, KEY).is_err());
        }
        assert!(open(&sealed, "another key of thirty-two letters").is_err());
        assert!(Seal::new(&Secret::new("short"), &[0; SALT]).is_err());
    }
}
