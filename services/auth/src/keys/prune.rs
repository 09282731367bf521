//! What need not be kept: superseded device-list changes, what claims gave, ids of uploaded keys, keys of deleted backups.

use matrixon_runtime::shutdown::Shutdown;
use matrixon_store::StoreError;

use crate::{
    state::Auth,
    store::{backup_versions, batches, claims, device_lists, earlier_keys, key_counts, one_time_keys},
};

const KEEP_MS: i64 = 7 * 24 * 3_600 * 1_000;
/// The counts themselves are read anew by whoever was away for longer.
const KEEP_COUNTS_MS: i64 = 24 * 3_600 * 1_000;
/// As long as a claim may arrive again, with room to spare.
const KEEP_CLAIMS_MS: i64 = 3_600 * 1_000;
const KEEP_UPLOADS_MS: i64 = 30 * 24 * 3_600 * 1_000;
const BATCH: i64 = 1_000;
/// Each may have given out thousands of keys.
const CLAIMS_BATCH: i64 = 10;

/// Deletes what is old, a batch at a time. Any replica may do it, several at once too.
pub(crate) async fn prune(auth: &Auth) -> Result<u64, StoreError> {
    let now_ms = auth.clock.now_ms();
    let cutoff_ms = now_ms - KEEP_MS;
    // a grant of which queues do not know stays
    claims::log::fold(&auth.db).await?;
    let mut total =
        batches(CLAIMS_BATCH, |limit| one_time_keys::prune_grants(&auth.db, now_ms - KEEP_CLAIMS_MS, limit)).await?;
    loop {
        let changes = device_lists::prune_changes(&auth.db, cutoff_ms, BATCH).await?;
        let counts = key_counts::prune_changes(&auth.db, now_ms - KEEP_COUNTS_MS, BATCH).await?;
        let claims = earlier_keys::prune_claims(&auth.db, now_ms - KEEP_CLAIMS_MS, BATCH).await?;
        let uploads = one_time_keys::prune_uploads(&auth.db, now_ms - KEEP_UPLOADS_MS, BATCH).await?;
        let backups = backup_versions::prune_deleted(&auth.db, BATCH).await?;
        total += changes + counts + claims + uploads + backups;
        if changes.max(counts).max(claims).max(uploads).max(backups) < BATCH as u64 {
            return Ok(total);
        }
    }
}

/// Takes over the one-time keys that a version without queues has left behind, or still takes. Goes on another time when the
/// process ends.
pub(crate) async fn adopt(auth: &Auth, shutdown: &Shutdown) -> Result<(), StoreError> {
    let mut from = 0;
    while !shutdown.draining()
        && let Some((keys, next)) = earlier_keys::adopt_keys(&auth.db, from).await?
    {
        // none, where another replica was first
        if keys > 0 {
            tracing::info!(keys, "one-time keys of an earlier version moved to queues");
        }
        from = next;
    }
    Ok(())
}
