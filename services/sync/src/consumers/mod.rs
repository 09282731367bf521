//! What this service does about the streams of others, durably: the user directory.

pub(crate) mod profiles;
pub(crate) mod rooms;

use matrixon_bus::Bus;
use matrixon_runtime::shutdown::Shutdown;
use matrixon_store::{
    Db, StoreError, Tx,
    streams::{
        Stream,
        consumer::{Timing, Waker, spawn},
    },
};
use tokio::task::JoinSet;

use crate::{
    directory::index::Names,
    store::directory::{DirectoryUser, Known, put_user},
};

/// Adds the consumers to the tasks of the process; they end soon after it drains.
pub(crate) fn start(db: &Db, bus: &Bus, shutdown: &Shutdown, tasks: &mut JoinSet<()>) {
    let timing = Timing::of(db);
    let work = profiles::Index { db: db.clone() };
    let (waker, profiles) = spawn(db.clone(), profiles::CONSUMER, work, timing, shutdown.clone());
    // Memberships and rules of rooms are looked for every half second, not at every message.
    let work = rooms::Index { db: db.clone() };
    let (_waker, rooms) = spawn(db.clone(), rooms::CONSUMER, work, timing, shutdown.clone());
    for consumer in [profiles, rooms] {
        tasks.spawn(async move {
            if let Err(error) = consumer.await {
                tracing::error!(%error, "a consumer of the user directory failed");
            }
        });
    }
    tasks.spawn(wake_by_bells(bus.clone(), waker, shutdown.clone()));
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

async fn index_user(tx: &mut Tx, user: &DirectoryUser, known: Known) -> Result<(), StoreError> {
    let names = Names::new(&user.user_id, user.displayname.as_deref());
    put_user(tx, user, &names.entries().into_iter().collect::<Vec<_>>(), known).await
}
