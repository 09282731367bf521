//! Stream `profiles`: users whose name or avatar changed are queued, so that their rooms hear of it ([`crate::propagation`]).

use std::{collections::BTreeMap, sync::Arc};

use matrixon_accounts::profiles;
use matrixon_bus::Bus;
use matrixon_runtime::shutdown::Shutdown;
use matrixon_store::streams::{
    Stream,
    consumer::{self, Batch, ConsumeError, Consumer, Outcome, Start, Timing, Waker, Work},
};
use tokio::{sync::Notify, task::JoinHandle};

use crate::{service::Room, store::propagations};

const CONSUMER: Consumer =
    Consumer { name: "room.profiles", stream: Stream::PROFILES, shards: 2, start: Start::Beginning, batch: 500 };

struct Enqueue {
    room: Room,
    queued: Arc<Notify>,
}

/// `queued` is notified when there is something to propagate.
pub(crate) fn spawn(room: &Room, queued: Arc<Notify>, shutdown: &Shutdown) -> JoinHandle<()> {
    let work = Enqueue { room: room.clone(), queued };
    let (waker, task) = consumer::spawn(room.db.clone(), CONSUMER, work, Timing::of(&room.db), shutdown.clone());
    tokio::spawn(wake_by_bells(room.bus.clone(), waker, shutdown.clone()));
    task
}

async fn wake_by_bells(bus: Bus, waker: Waker, shutdown: Shutdown) {
    let mut bells = bus.subscribe(&Stream::PROFILES.subject());
    loop {
        tokio::select! {
            _bell = bells.next() => waker.wake(),
            () = shutdown.wait_draining() => return,
        }
    }
}

impl Work for Enqueue {
    async fn work(&self, batch: &Batch) -> Result<Outcome, ConsumeError> {
        let changes = profiles::list_changes(&self.room.db, batch.after, batch.upto).await?;
        let in_rooms = |field: &str| matches!(field, "displayname" | "avatar_url");
        // the newest position of each user
        let users: BTreeMap<&str, i64> = changes
            .iter()
            .filter(|change| change.propagate && in_rooms(&change.field) && batch.has(&change.user_id))
            .map(|change| (change.user_id.as_str(), change.position))
            .collect();
        if users.is_empty() {
            return Ok(Outcome::Nothing);
        }
        let mut tx = self.room.db.begin().await?;
        propagations::enqueue(&mut tx, &users.into_iter().collect::<Vec<_>>()).await?;
        batch.commit(tx).await?;
        self.queued.notify_one();
        Ok(Outcome::Done)
    }
}
