//! The `profiles` stream: which field of whose profile changed, and which accounts began and ended. The room service tells the
//! user's rooms, the sync service keeps the user directory.

use matrixon_store::{
    StoreError,
    streams::{Stream, consumer},
};

use crate::{state::Auth, store::profiles};

/// Rows are kept for a week after every consumer has passed them.
const KEEP_MS: i64 = 7 * 24 * 3_600 * 1_000;
/// How many rows one statement deletes.
const PRUNE_BATCH: i64 = 1_000;

/// Any replica may do it, several at once too.
pub(crate) async fn prune(auth: &Auth) -> Result<u64, StoreError> {
    let Some(passed) = consumer::passed(&auth.db, Stream::PROFILES).await? else { return Ok(0) };
    let cutoff_ms = auth.clock.now_ms() - KEEP_MS;
    let mut total = 0;
    loop {
        let deleted = profiles::prune_changes(&auth.db, passed, cutoff_ms, PRUNE_BATCH).await?;
        total += deleted;
        if deleted < PRUNE_BATCH as u64 {
            return Ok(total);
        }
    }
}
