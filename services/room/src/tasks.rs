//! What the service does by itself.

use std::time::Duration;

use matrixon_runtime::shutdown::Shutdown;

use crate::{service::Room, store::requests};

/// Every replica does it; doing it twice does no harm.
const CLEAN_UP_EVERY: Duration = Duration::from_mins(10);

pub(crate) fn start(room: Room, shutdown: Shutdown) {
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = shutdown.wait_draining() => return,
                () = tokio::time::sleep(CLEAN_UP_EVERY) => {}
            }
            if let Err(error) = requests::delete_old(&room.db, room.clock.now_ms()).await {
                tracing::warn!(%error, "old requests cannot be deleted");
            }
        }
    });
}
