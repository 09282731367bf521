//! The arithmetic: argon2id for ourselves, bcrypt for hashes from elsewhere.

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::phc::{Output, ParamsString, PasswordHash, Salt},
};
use matrixon_runtime::{config::Secret, random};

use crate::{config::PasswordConfig, error::AuthError};

const SALT_BYTES: usize = 16;
/// A stored hash that asks for more memory or passes than this is not computed.
const MAX_MEMORY_KIB: u32 = 1 << 20;
const MAX_ITERATIONS: u32 = 64;

/// What a password thread keeps from one hash to the next while there is work: fresh pages cost as much as hashing.
pub(super) type Memory = Vec<Block>;

/// The result of checking a password against a stored hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Wrong,
    Right,
    /// Right, and hashed at another cost than the configured one, or by bcrypt: hash it again.
    RightButStale,
}

pub(super) struct Hasher {
    params: Params,
    bcrypt_pepper: Secret,
    /// Verified for users that do not exist, so that refusing them takes as long.
    nobody: String,
}

impl Hasher {
    pub(super) fn new(config: &PasswordConfig) -> Result<Self, String> {
        let params = Params::new(config.memory_kib, config.iterations, config.parallelism, None)
            .map_err(|error| format!("auth.password: argon2 cannot work with this cost: {error}"))?;
        Ok(Self { nobody: unmatchable_hash(&params), params, bcrypt_pepper: config.bcrypt_pepper.clone() })
    }

    pub(super) fn hash(&self, memory: &mut Memory, password: &str) -> Result<String, AuthError> {
        let broken = |error: &dyn std::fmt::Display| AuthError::Internal(format!("argon2: {error}"));
        let salt: [u8; SALT_BYTES] = random::bytes();
        let out = compute(memory, &self.params, Algorithm::Argon2id, Version::V0x13, (password.as_bytes(), &salt))
            .map_err(|error| broken(&error))?;
        let hash = PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(&self.params).map_err(|error| broken(&error))?,
            salt: Some(Salt::new(&salt).map_err(|error| broken(&error))?),
            hash: Some(Output::new(&out).map_err(|error| broken(&error))?),
        };
        Ok(hash.to_string())
    }

    pub(super) fn verify(&self, memory: &mut Memory, password: &str, hash: Option<&str>) -> Verdict {
        if let Some(hash) = hash.filter(|hash| is_bcrypt(hash)) {
            return if self.verify_bcrypt(password, hash) { Verdict::RightButStale } else { Verdict::Wrong };
        }
        let Ok(parsed) = PasswordHash::new(hash.unwrap_or(&self.nobody)) else { return Verdict::Wrong };
        let right = verify_argon2(memory, password, &parsed) && hash.is_some();
        match (right, self.is_current(&parsed)) {
            (false, _) => Verdict::Wrong,
            (true, true) => Verdict::Right,
            (true, false) => Verdict::RightButStale,
        }
    }

    /// As Synapse makes them: the pepper follows the password, and what is beyond 72 bytes does not count.
    fn verify_bcrypt(&self, password: &str, hash: &str) -> bool {
        let peppered = [password, self.bcrypt_pepper.expose()].concat();
        bcrypt::verify(peppered, hash).unwrap_or(false)
    }

    fn is_current(&self, hash: &PasswordHash) -> bool {
        let ours = &self.params;
        hash.algorithm == Algorithm::Argon2id.ident()
            && Params::try_from(hash).is_ok_and(|theirs| {
                (theirs.m_cost(), theirs.t_cost(), theirs.p_cost()) == (ours.m_cost(), ours.t_cost(), ours.p_cost())
            })
    }
}

fn is_bcrypt(hash: &str) -> bool {
    ["$2a$", "$2b$", "$2x$", "$2y$"].iter().any(|prefix| hash.starts_with(prefix))
}

fn verify_argon2(memory: &mut Memory, password: &str, hash: &PasswordHash) -> bool {
    let (Some(salt), Some(expected)) = (&hash.salt, &hash.hash) else { return false };
    let Ok(algorithm) = Algorithm::try_from(hash.algorithm.as_str()) else { return false };
    let Ok(version) = hash.version.map_or(Ok(Version::V0x13), Version::try_from) else { return false };
    let Ok(params) = Params::try_from(hash) else { return false };
    if params.m_cost() > MAX_MEMORY_KIB || params.t_cost() > MAX_ITERATIONS {
        return false;
    }
    let computed = compute(memory, &params, algorithm, version, (password.as_bytes(), salt));
    // `Output` compares in constant time
    computed.ok().and_then(|out| Output::new(&out).ok()).is_some_and(|out| out == *expected)
}

fn compute(
    memory: &mut Memory,
    params: &Params,
    algorithm: Algorithm,
    version: Version,
    (password, salt): (&[u8], &[u8]),
) -> Result<Vec<u8>, argon2::Error> {
    let mut out = vec![0; params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN)];
    let blocks = params.block_count();
    if memory.len() < blocks {
        memory.resize_with(blocks, Block::default);
    }
    let argon2 = Argon2::new(algorithm, version, params.clone());
    argon2.hash_password_into_with_memory(password, salt, &mut out, &mut memory[..blocks])?;
    Ok(out)
}

/// A hash of the configured cost that no password has: costs nothing to make and as much as any to verify.
pub(super) fn unmatchable_hash(params: &Params) -> String {
    const SALT_AND_HASH: &str = "bm9ib2R5IG5vYm9keSBubw$bm9ib2R5IGhhcyB0aGlzIHBhc3N3b3JkLCBub2JvZHk";
    format!("$argon2id$v=19$m={},t={},p={}${SALT_AND_HASH}", params.m_cost(), params.t_cost(), params.p_cost())
}
