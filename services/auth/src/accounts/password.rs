//! Passwords: argon2id on a few threads of low priority, with a bounded queue before them. Hashes of bcrypt, which
//! accounts bring along from elsewhere, are accepted and replaced at the first log-in.

mod common;
mod hasher;
mod policy;
mod pool;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use unicode_normalization::UnicodeNormalization as _;

pub(crate) use self::hasher::Verdict;
use self::{hasher::Hasher, policy::Policy, pool::Pool};
use crate::{config::PasswordConfig, error::AuthError};

/// Longer ones are refused: hashing must not be a way to keep us busy.
const MAX_PASSWORD_BYTES: usize = 512;

/// Hashes and verifies; shared by the whole process.
#[derive(Clone)]
pub(crate) struct Passwords(Arc<Inner>);

struct Inner {
    hasher: Arc<Hasher>,
    policy: Policy,
    pool: Pool,
}

impl Passwords {
    /// Fails with a sentence when the configured cost is not one that argon2 knows.
    pub(crate) fn new(config: &PasswordConfig) -> Result<Self, String> {
        let hasher = Arc::new(Hasher::new(config)?);
        let pool = Pool::start(config).map_err(|error| format!("the password threads cannot start: {error}"))?;
        Ok(Self(Arc::new(Inner { hasher, policy: Policy::new(config), pool })))
    }

    /// `M_WEAK_PASSWORD` ← against the policy · `M_INVALID_PARAM` ← over 512 bytes
    pub(crate) fn check_new(&self, password: &str) -> Result<(), AuthError> {
        if password.len() > MAX_PASSWORD_BYTES {
            return Err(AuthError::InvalidParam(format!("a password has at most {MAX_PASSWORD_BYTES} bytes")));
        }
        self.0.policy.check(password)
    }

    /// What clients should know of it, in the form of MSC2000.
    pub(crate) fn policy(&self) -> serde_json::Value {
        self.0.policy.describe()
    }

    /// `M_LIMIT_EXCEEDED` ← the queue is full
    pub(crate) async fn hash(&self, password: String) -> Result<String, AuthError> {
        let hasher = self.0.hasher.clone();
        self.0.pool.run(move |memory| hasher.hash(memory, &normalise(&password))).await?
    }

    /// Takes the same time with and without a hash. `M_LIMIT_EXCEEDED` ← the queue is full
    pub(crate) async fn verify(&self, password: String, hash: Option<String>) -> Result<Verdict, AuthError> {
        let hasher = self.0.hasher.clone();
        let verify = move |memory: &mut _| {
            let fits = password.len() <= MAX_PASSWORD_BYTES;
            let normal = if fits { normalise(&password) } else { String::new() };
            let verdict = hasher.verify(memory, &normal, hash.as_deref());
            if fits { verdict } else { Verdict::Wrong }
        };
        self.0.pool.run(verify).await
    }
}

/// The same password, whichever keyboard has composed its letters.
fn normalise(password: &str) -> String {
    password.nfkc().collect()
}
