//! What the service does by itself.

use std::{sync::Arc, time::Duration};

use matrixon_runtime::shutdown::Shutdown;
use tokio::{sync::Notify, task::JoinHandle};

use crate::{consumers, propagation, service::Room, store::requests};

/// Every replica does it; doing it twice does no harm.
const CLEAN_UP_EVERY: Duration = Duration::from_mins(10);

/// The handle ends soon after the process drains.
pub(crate) fn start(room: &Room, shutdown: &Shutdown) -> JoinHandle<()> {
    tokio::spawn(clean_up(room.clone(), shutdown.clone()));
    let queued = Arc::new(Notify::new());
    propagation::start(room, &queued, shutdown);
    consumers::profiles::spawn(room, queued, shutdown)
}

async fn clean_up(room: Room, shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = shutdown.wait_draining() => return,
            () = tokio::time::sleep(CLEAN_UP_EVERY) => {}
        }
        if let Err(error) = requests::delete_old(&room.db, room.clock.now_ms()).await {
            tracing::warn!(%error, "old requests cannot be deleted");
        }
    }
}
