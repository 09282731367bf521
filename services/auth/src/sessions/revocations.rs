//! The `revocations` stream: every end of a session, in the transaction that ends it (see [`crate::outbox`]), so that
//! gateways may cache tokens.

use matrixon_store::StoreError;
use ruma::UserId;

use crate::{
    state::Auth,
    store::revocations::{self, RevocationRow},
};

/// More than this many revocations of one user become one of the whole user.
const MAX_SINGLE: usize = 50;

/// How long revocations are kept: a gateway that slept longer forgets everything it cached.
const KEEP_MS: i64 = 24 * 3_600 * 1_000;
/// How many rows one statement deletes.
const PRUNE_BATCH: i64 = 1_000;

/// Something that gateways must forget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Revocation {
    user_id: String,
    device_id: String,
    token_sha256: Vec<u8>,
}

impl Revocation {
    pub(crate) fn user(user_id: &UserId) -> Self {
        Self::device(user_id, "")
    }

    pub(crate) fn device(user_id: &UserId, device_id: &str) -> Self {
        Self { user_id: user_id.to_string(), device_id: device_id.to_owned(), token_sha256: Vec::new() }
    }

    pub(crate) fn token(user_id: &str, device_id: &str, token_sha256: Vec<u8>) -> Self {
        Self { user_id: user_id.to_owned(), device_id: device_id.to_owned(), token_sha256 }
    }

    pub(crate) fn row(&self, position: i64) -> RevocationRow {
        RevocationRow {
            position,
            user_id: self.user_id.clone(),
            device_id: self.device_id.clone(),
            token_sha256: self.token_sha256.clone(),
        }
    }

    /// One for each device, or one for the whole user where that would be many. Nothing for no device.
    pub(crate) fn devices(user_id: &UserId, device_ids: &[String]) -> Vec<Self> {
        if device_ids.len() > MAX_SINGLE {
            return vec![Self::user(user_id)];
        }
        device_ids.iter().map(|device_id| Self::device(user_id, device_id)).collect()
    }
}

/// Deletes what is older than a day, a batch at a time. Any replica may do it, several at once too.
pub(crate) async fn prune(auth: &Auth) -> Result<u64, StoreError> {
    let cutoff_ms = auth.clock.now_ms() - KEEP_MS;
    let mut total = 0;
    loop {
        let deleted = revocations::prune_revocations(&auth.db, cutoff_ms, PRUNE_BATCH).await?;
        total += deleted;
        if deleted < PRUNE_BATCH as u64 {
            return Ok(total);
        }
    }
}
