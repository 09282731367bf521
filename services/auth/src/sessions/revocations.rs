//! The `revocations` stream: every end of a session, in the transaction that ends it, so that gateways may cache
//! tokens.

use matrixon_store::StoreError;
use ruma::UserId;

use crate::{
    state::Auth,
    store::{
        batches,
        revocations::{self, RevocationRow},
    },
};

/// More than this many revocations of one user become one of the whole user.
const MAX_SINGLE: usize = 50;

/// How long revocations are kept: a gateway that slept longer forgets everything it cached.
const KEEP_MS: i64 = 24 * 3_600 * 1_000;
/// How many rows one statement deletes.
const PRUNE_BATCH: i64 = 1_000;

/// What became of a session: something that gateways must forget, and what others see of the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Revocation {
    pub(crate) user_id: String,
    pub(crate) device_id: String,
    pub(crate) token_sha256: Vec<u8>,
    /// False: that is said by another one, of the whole user.
    pub(crate) revokes: bool,
    /// The device is gone.
    pub(crate) removed: bool,
}

impl Revocation {
    /// All sessions end. Their devices are told of by [`Revocation::all_devices`], if they go.
    pub(crate) fn user(user_id: &UserId) -> Self {
        Self::device(user_id, "")
    }

    /// The tokens of a device end, not the device.
    pub(crate) fn device(user_id: &UserId, device_id: &str) -> Self {
        Self {
            user_id: user_id.to_string(),
            device_id: device_id.to_owned(),
            token_sha256: Vec::new(),
            revokes: true,
            removed: false,
        }
    }

    pub(crate) fn token(user_id: &str, device_id: &str, token_sha256: Vec<u8>) -> Self {
        Self {
            user_id: user_id.to_owned(),
            device_id: device_id.to_owned(),
            token_sha256,
            revokes: true,
            removed: false,
        }
    }

    /// Devices that are gone, with their sessions: one revocation for each, or one for the whole user where that would be
    /// many. Nothing for no device.
    pub(crate) fn devices(user_id: &UserId, device_ids: &[String]) -> Vec<Self> {
        if device_ids.len() > MAX_SINGLE {
            return Self::all_devices(user_id, device_ids);
        }
        device_ids.iter().map(|device_id| Self::removed(user_id, device_id, true)).collect()
    }

    /// The same for all devices of the user: one revocation. Nothing for no device.
    pub(crate) fn all_devices(user_id: &UserId, device_ids: &[String]) -> Vec<Self> {
        let all = (!device_ids.is_empty()).then(|| Self::user(user_id));
        all.into_iter().chain(device_ids.iter().map(|device_id| Self::removed(user_id, device_id, false))).collect()
    }

    fn removed(user_id: &UserId, device_id: &str, revokes: bool) -> Self {
        Self { revokes, removed: true, ..Self::device(user_id, device_id) }
    }

    pub(crate) fn row(&self, position: i64) -> RevocationRow {
        RevocationRow {
            position,
            user_id: self.user_id.clone(),
            device_id: self.device_id.clone(),
            token_sha256: self.token_sha256.clone(),
        }
    }
}

/// Deletes what is older than a day, a batch at a time. Any replica may do it, several at once too.
pub(crate) async fn prune(auth: &Auth) -> Result<u64, StoreError> {
    let cutoff_ms = auth.clock.now_ms() - KEEP_MS;
    batches(PRUNE_BATCH, |limit| revocations::prune_revocations(&auth.db, cutoff_ms, limit)).await
}
