//! Users whose devices changed while they are not online at this replica: their company is looked up, then woken.

use std::{sync::Arc, time::Duration};

use matrixon_runtime::shutdown::Shutdown;
use tokio::sync::mpsc;

use super::Live;

/// Users who wait for the look-up; when there are more, everybody online is woken to look for themselves.
pub(crate) const QUEUE: usize = 4_096;
const ATTEMPTS: usize = 3;
const RETRY: Duration = Duration::from_millis(150);

impl Live {
    /// Wakes the user's company soon. Never waits.
    pub(super) fn wake_company(&self, user_id: Arc<str>) {
        if self.strangers.try_send(user_id).is_err() {
            self.change(|memory, bells| memory.online.ring_all(bells));
        }
    }
}

/// Runs until the process stops.
pub(crate) async fn run(live: Arc<Live>, mut strangers: mpsc::Receiver<Arc<str>>, shutdown: Shutdown) {
    loop {
        let user_id = tokio::select! {
            next = strangers.recv() => match next {
                Some(user_id) => user_id,
                None => return,
            },
            () = shutdown.wait_stopped() => return,
        };
        meet(&live, &user_id).await;
    }
}

async fn meet(live: &Live, user_id: &Arc<str>) {
    for _ in 0..ATTEMPTS {
        match live.online(user_id).await {
            Ok(_present) => {
                live.change(|memory, bells| memory.online.ring_company(user_id, bells));
                return;
            }
            Err(error) => tracing::debug!(%error, "the rooms of a user cannot be read"),
        }
        tokio::time::sleep(RETRY).await;
    }
    live.change(|memory, bells| memory.online.ring_all(bells));
}
