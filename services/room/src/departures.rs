//! Users whose account has ended are taken out of their rooms. The auth service keeps the list of them; a user stays on it
//! until every room has been left, whatever dies meanwhile.

use std::time::Duration;

use matrixon_accounts::departures;
use matrixon_proto::auth::v1::{FinishDepartureRequest, auth_client::AuthClient};
use matrixon_rpc::Rpc;
use matrixon_runtime::shutdown::Shutdown;
use matrixon_store::streams::Stream;
use rand::seq::SliceRandom as _;
use ruma::OwnedUserId;

use crate::{error::RoomError, membership::depart_from_all, service::Room};

/// How often to look without being told.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Users of one look.
const BATCH: i64 = 20;

/// Works until the process drains. Every replica does it: what two do at once is done once.
pub(crate) async fn run(room: Room, auth: Rpc, shutdown: Shutdown) {
    let mut bells = room.bus.subscribe(&Stream::PROFILES.subject());
    loop {
        if let Err(error) = look(&room, &auth).await {
            tracing::warn!(%error, "ended accounts could not leave their rooms, trying again");
        }
        tokio::select! {
            () = shutdown.wait_draining() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _bell = bells.next() => {}
        }
    }
}

async fn look(room: &Room, auth: &Rpc) -> Result<(), RoomError> {
    let mut users = departures::list_departures(&room.db, BATCH).await?;
    // replicas begin with different ones
    users.shuffle(&mut rand::rng());
    for user in users {
        if let Ok(user_id) = OwnedUserId::try_from(user.as_str()) {
            depart_from_all(room, &user_id).await?;
        }
        let request = FinishDepartureRequest { user_id: user };
        if let Err(status) = AuthClient::new(auth.clone()).finish_departure(request).await {
            tracing::warn!(%status, "the auth service was not told of a departure, trying again");
        }
    }
    Ok(())
}
