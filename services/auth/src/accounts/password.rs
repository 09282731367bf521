//! Passwords: argon2id on a bounded number of blocking threads, with a bounded queue before them.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version, password_hash::phc::PasswordHash,
};
use tokio::sync::Semaphore;

use crate::{config::PasswordConfig, error::AuthError};

/// Longer ones are refused: hashing must not be a way to keep us busy.
const MAX_PASSWORD_BYTES: usize = 512;

/// Hashes and verifies; shared by the whole process.
#[derive(Clone)]
pub(crate) struct Passwords(Arc<Inner>);

struct Inner {
    argon2: Argon2<'static>,
    minimum_length: usize,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    queue: usize,
    /// Verified for users that do not exist, so that refusing them takes as long.
    nobody: String,
}

/// The result of checking a password against a stored hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Wrong,
    Right,
    /// Right, and hashed at another cost than the configured one: hash it again.
    RightButStale,
}

impl Passwords {
    /// Fails with a sentence when the configured cost is not one that argon2 knows.
    pub(crate) fn new(config: &PasswordConfig) -> Result<Self, String> {
        let params = Params::new(config.memory_kib, config.iterations, config.parallelism, None)
            .map_err(|error| format!("auth.password: argon2 cannot work with this cost: {error}"))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let concurrency = if config.concurrency == 0 { cores } else { config.concurrency };
        Ok(Self(Arc::new(Inner {
            nobody: unmatchable_hash(argon2.params()),
            argon2,
            minimum_length: config.minimum_length,
            permits: Arc::new(Semaphore::new(concurrency)),
            waiting: AtomicUsize::new(0),
            queue: config.queue,
        })))
    }

    /// `M_WEAK_PASSWORD` ← shorter than configured · `M_INVALID_PARAM` ← over 512 bytes
    pub(crate) fn check_new(&self, password: &str) -> Result<(), AuthError> {
        if password.len() > MAX_PASSWORD_BYTES {
            return Err(AuthError::InvalidParam(format!("a password has at most {MAX_PASSWORD_BYTES} bytes")));
        }
        let minimum = self.0.minimum_length.max(1);
        if password.chars().count() < minimum {
            return Err(AuthError::WeakPassword(format!("a password needs at least {minimum} characters")));
        }
        Ok(())
    }

    /// `M_LIMIT_EXCEEDED` ← the queue is full
    pub(crate) async fn hash(&self, password: String) -> Result<String, AuthError> {
        self.run(move |inner| inner.hash(&password)).await?
    }

    /// Takes the same time with and without a hash. `M_LIMIT_EXCEEDED` ← the queue is full
    pub(crate) async fn verify(&self, password: String, hash: Option<String>) -> Result<Verdict, AuthError> {
        self.run(move |inner| inner.verify(&password, hash.as_deref())).await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Inner) -> T + Send + 'static) -> Result<T, AuthError> {
        let permit = {
            let _place = Place::take(&self.0)?;
            self.0.permits.clone().acquire_owned().await.map_err(|error| AuthError::Internal(error.to_string()))?
        };
        let inner = Arc::clone(&self.0);
        let job = move || {
            // moved in: a request that was given up keeps its thread counted until the hash is done
            let _permit = permit;
            work(&inner)
        };
        tokio::task::spawn_blocking(job).await.map_err(|error| AuthError::Internal(format!("password thread: {error}")))
    }
}

/// A place in the queue, given back on drop (also when the request is cancelled).
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(inner: &'a Inner) -> Result<Self, AuthError> {
        let place = Self(&inner.waiting);
        let before = inner.waiting.fetch_add(1, Ordering::Relaxed);
        if before >= inner.queue.max(1) {
            return Err(AuthError::Busy);
        }
        Ok(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Inner {
    fn hash(&self, password: &str) -> Result<String, AuthError> {
        self.argon2
            .hash_password(password.as_bytes())
            .map(|hash| hash.to_string())
            .map_err(|error| AuthError::Internal(format!("argon2: {error}")))
    }

    fn verify(&self, password: &str, hash: Option<&str>) -> Verdict {
        let parsed = PasswordHash::new(hash.unwrap_or(&self.nobody));
        let Ok(parsed) = parsed else { return Verdict::Wrong };
        let right = password.len() <= MAX_PASSWORD_BYTES
            && self.argon2.verify_password(password.as_bytes(), &parsed).is_ok()
            && hash.is_some();
        match (right, self.is_current(&parsed)) {
            (false, _) => Verdict::Wrong,
            (true, true) => Verdict::Right,
            (true, false) => Verdict::RightButStale,
        }
    }

    fn is_current(&self, hash: &PasswordHash) -> bool {
        let ours = self.argon2.params();
        hash.algorithm == Algorithm::Argon2id.ident()
            && Params::try_from(hash).is_ok_and(|theirs| {
                (theirs.m_cost(), theirs.t_cost(), theirs.p_cost()) == (ours.m_cost(), ours.t_cost(), ours.p_cost())
            })
    }
}

/// A hash of the configured cost that no password has: costs nothing to make and as much as any to verify.
fn unmatchable_hash(params: &Params) -> String {
    const SALT_AND_HASH: &str = "bm9ib2R5IG5vYm9keSBubw$bm9ib2R5IGhhcyB0aGlzIHBhc3N3b3JkLCBub2JvZHk";
    format!("$argon2id$v=19$m={},t={},p={}${SALT_AND_HASH}", params.m_cost(), params.t_cost(), params.p_cost())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passwords(config: &PasswordConfig) -> Passwords {
        Passwords::new(config).unwrap()
    }

    #[tokio::test]
    async fn right_wrong_and_stale() {
        let cheap = passwords(&PasswordConfig::insecure());
        let hash = cheap.hash("secret".to_owned()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=8,t=1,p=1$"));
        assert_eq!(cheap.verify("secret".to_owned(), Some(hash.clone())).await.unwrap(), Verdict::Right);
        assert_eq!(cheap.verify("Secret".to_owned(), Some(hash.clone())).await.unwrap(), Verdict::Wrong);
        let dearer = passwords(&PasswordConfig { memory_kib: 16, ..PasswordConfig::insecure() });
        assert_eq!(dearer.verify("secret".to_owned(), Some(hash)).await.unwrap(), Verdict::RightButStale);
    }

    #[tokio::test]
    async fn nobody_has_a_real_hash() {
        let cheap = passwords(&PasswordConfig::insecure());
        let parsed = PasswordHash::new(&cheap.0.nobody).unwrap();
        // a hash that does not parse, or of another cost, would be refused faster than a real one
        assert!(cheap.0.is_current(&parsed));
        assert_eq!(parsed.hash.as_ref().map(|hash| hash.as_bytes().len()), Some(32));
        assert_eq!(cheap.verify("secret".to_owned(), None).await.unwrap(), Verdict::Wrong);
    }

    #[tokio::test]
    async fn a_full_queue_refuses() {
        let config = PasswordConfig { concurrency: 1, queue: 1, ..PasswordConfig::insecure() };
        let passwords = passwords(&config);
        let held = passwords.0.permits.clone().acquire_owned().await.unwrap();
        let mut first = Box::pin(passwords.hash("a".to_owned()));
        assert!(futures_poll_once(first.as_mut()).is_none());
        assert!(matches!(passwords.hash("b".to_owned()).await, Err(AuthError::Busy)));
        drop(held);
        first.await.unwrap();
        passwords.hash("c".to_owned()).await.unwrap();
    }

    fn futures_poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match future.poll(&mut context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn rules() {
        let passwords = passwords(&PasswordConfig { minimum_length: 3, ..PasswordConfig::insecure() });
        assert!(matches!(passwords.check_new("ab"), Err(AuthError::WeakPassword(_))));
        assert!(matches!(passwords.check_new(&"a".repeat(513)), Err(AuthError::InvalidParam(_))));
        passwords.check_new("äöü").unwrap();
    }
}
