//! A new name or avatar is written into the membership of every room that the user is in.
//! <https://spec.matrix.org/v1.19/client-server-api/#events-on-change-of-profile-information>
//!
//! A row of `profile_propagations` says whose rooms have yet to hear, and up to which room they have. Whoever takes it
//! does a few rooms, notes how far it came and puts the user at the end of the queue: somebody with thousands of rooms does
//! not keep the others waiting, and a process that dies costs the rooms since the last note, which say the right
//! thing already when they are looked at again. The profile is read at every step, so the newest one wins.

mod member;

use std::{sync::Arc, time::Duration};

use matrixon_accounts::profiles;
use matrixon_rooms::members::{self, Page};
use matrixon_runtime::{random, shutdown::Shutdown};
use ruma::{RoomId, UserId};
use tokio::sync::Notify;

use crate::{
    error::RoomError,
    metrics::PROPAGATIONS,
    service::Room,
    store::propagations::{self, Lease, Propagation},
};

/// Users served at the same time by one process.
const WORKERS: usize = 2;
/// Rooms of one user at a time.
const ROOMS: i64 = 25;
/// Longer than the rooms of one step take.
const LEASE_MS: i64 = 15_000;
/// How often to look without being told.
const LOOK_EVERY: Duration = Duration::from_secs(2);
const RETRY: Duration = Duration::from_secs(1);

/// Works until the process drains. `queued` tells of new rows.
pub(crate) fn start(room: &Room, queued: &Arc<Notify>, shutdown: &Shutdown) {
    for _ in 0..WORKERS {
        tokio::spawn(run(room.clone(), queued.clone(), shutdown.clone()));
    }
}

async fn run(room: Room, queued: Arc<Notify>, shutdown: Shutdown) {
    let owner = random::id(16);
    while !shutdown.draining() {
        let pause = match step(&room, &owner).await {
            Ok(true) => continue,
            Ok(false) => LOOK_EVERY,
            Err(error) => {
                tracing::warn!(%error, "rooms cannot hear of a new profile for now");
                RETRY
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = queued.notified() => {}
            () = shutdown.wait_draining() => {}
        }
    }
}

/// Some rooms of one user. False: there is nobody to serve.
pub(crate) async fn step(room: &Room, owner: &str) -> Result<bool, RoomError> {
    if propagations::is_empty(&room.db).await? {
        return Ok(false);
    }
    let lease = |now_ms: i64| Lease { owner, now_ms, until_ms: now_ms + LEASE_MS };
    let Some(mut turn) = propagations::claim(&room.db, lease(room.clock.now_ms())).await? else { return Ok(false) };
    let served = serve(room, &mut turn).await;
    let now = lease(room.clock.now_ms());
    let is_noted = match &served {
        Ok(true) => propagations::finish(&room.db, now, &turn).await?,
        Ok(false) | Err(_) => propagations::progress(&room.db, now, &turn).await?,
    };
    if !is_noted {
        propagations::restart(&room.db, now, &turn).await?;
    }
    served.map(|_| true)
}

/// Moves `next_room` past what was done. True: that were all.
async fn serve(room: &Room, turn: &mut Propagation) -> Result<bool, RoomError> {
    let Ok(user_id) = UserId::parse(turn.user_id.as_str()) else { return Ok(true) };
    // A deactivated account's rooms keep what they have.
    let Some(profile) = profiles::find(&room.db, user_id.as_str()).await? else { return Ok(true) };
    let page = Page { after: turn.next_room, limit: ROOMS };
    let rooms = members::list_joined(&room.db, user_id.as_str(), page).await?;
    let is_last = (rooms.len() as i64) < ROOMS;
    for (number, room_id) in rooms {
        let result = match RoomId::parse(room_id.as_str()) {
            Ok(room_id) => member::update(room, (number, &room_id), &user_id, &profile).await,
            Err(_) => Ok("refused"),
        };
        let result =
            result.or_else(|error| if is_transient(&error) { Err(error) } else { refused(&room_id, &error) })?;
        PROPAGATIONS.with_label_values(&[result]).inc();
        turn.next_room = number;
    }
    Ok(is_last)
}

/// Worth another try at the same room.
fn is_transient(error: &RoomError) -> bool {
    match error {
        RoomError::Busy | RoomError::Closing => true,
        RoomError::Store(error) => error.is_unavailable(),
        _ => false,
    }
}

/// The room's rules do not let the user change their membership: it stays as it is.
#[expect(clippy::unnecessary_wraps, reason = "the other arm of a match of results")]
fn refused(room_id: &str, error: &RoomError) -> Result<&'static str, RoomError> {
    tracing::debug!(room.id = room_id, %error, "a room did not take a new profile");
    Ok("refused")
}
