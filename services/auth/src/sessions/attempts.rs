//! How often passwords may be guessed: a bucket for each account, in the cache, hence over all replicas. (Attempts of one
//! address are counted at the gateway.)
//!
//! An attempt takes a token before the password is looked at, so that many at once gain nothing, and the right password
//! fills the bucket again. Names without an account have buckets too: being refused tells nothing.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::{error::AuthError, state::Auth};

/// The bucket of a name.
pub(super) struct Attempts {
    key: String,
}

impl Attempts {
    /// Names are of any length: their hash is the key.
    pub(super) fn of(name: &str) -> Self {
        let mut key = "login:".to_owned();
        for byte in &Sha256::digest(name.as_bytes())[..16] {
            let _infallible = write!(key, "{byte:02x}");
        }
        Self { key }
    }

    /// `M_LIMIT_EXCEEDED` ← the bucket is empty. While the cache is away nothing is refused here.
    pub(super) async fn take(&self, auth: &Auth) -> Result<(), AuthError> {
        let limit = &auth.config.login_attempts;
        if limit.per_second <= 0.0 {
            return Ok(());
        }
        match auth.cache.take_token(&self.key, limit.per_second, limit.burst.max(1.0), 1.0).await {
            Ok(bucket) if !bucket.allowed => {
                Err(AuthError::TooManyAttempts { retry_after_ms: bucket.retry_after.as_millis() as u64 })
            }
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::debug!(%error, "attempts to log in are not counted for the moment");
                Ok(())
            }
        }
    }

    /// It was the owner.
    pub(super) async fn forgive(&self, auth: &Auth) {
        if let Err(error) = auth.cache.delete(&self.key).await {
            tracing::debug!(%error, "attempts to log in could not be forgotten");
        }
    }
}
