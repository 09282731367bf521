//! Asks a replica twice a second whether it takes calls, on a connection of its own: what the calls do cannot delay the
//! answer, and the end of the connection tells of the end of the process at once.

use std::{sync::Arc, time::Duration};

use http::{Request, StatusCode};
use tokio::{
    select,
    time::{Instant, sleep, timeout},
};
use tonic::body::Body;

use super::{
    Replica,
    connect::{self, Sender},
};
use crate::{BoxError, ReplicaState, server::READY_PATH};

/// After so many unanswered questions in a row the calls in flight are given up, too: the process hangs.
const SILENCES: u32 = 3;
/// A timer that rings so much too late belongs to a process that is overloaded itself.
const LATE: Duration = Duration::from_millis(100);

pub(super) async fn run(replica: Arc<Replica>) {
    select! {
        () = probe(&replica) => {}
        () = replica.retired.cancelled() => {}
    }
    replica.set_state(ReplicaState::Down);
    replica.pool.clear();
}

async fn probe(replica: &Replica) {
    let timing = replica.timing;
    let mut backoff = timing.backoff_first;
    loop {
        // Dropping the token's guard at the end of the turn closes the connection.
        let cut = replica.retired.child_token();
        let _guard = cut.clone().drop_guard();
        match connect::open(&replica.address, timing.connect, cut).await {
            Ok((sender, connection)) => {
                let answered = select! {
                    answered = watch(replica, sender) => answered,
                    _ = connection => {
                        // Closed by the peer: killed, or gone after its drain. Look again at once.
                        replica.set_state(ReplicaState::Down);
                        true
                    }
                };
                if answered {
                    backoff = timing.backoff_first;
                }
            }
            Err(error) => {
                tracing::debug!(replica = %replica.name, %error, "replica cannot be reached");
                replica.set_state(ReplicaState::Down);
            }
        }
        sleep(backoff).await;
        backoff = (backoff * 2).min(timing.backoff_most);
    }
}

/// Asks until the replica stops answering. Tells whether it ever answered.
async fn watch(replica: &Replica, mut sender: Sender) -> bool {
    let timing = replica.timing;
    let mut answered = false;
    let mut silences = 0;
    loop {
        let asked = Instant::now();
        match timeout(timing.probe_timeout, ask(replica, &mut sender)).await {
            Ok(Ok(state)) => {
                answered = true;
                silences = 0;
                replica.set_state(state);
                replica.pool.close_idle();
            }
            Ok(Err(error)) => {
                tracing::debug!(replica = %replica.name, %error, "replica broke off");
                replica.set_state(ReplicaState::Down);
                return answered;
            }
            // It is this process that had no time: that says nothing about the replica.
            Err(_) if asked.elapsed() > timing.probe_timeout + LATE => {}
            Err(_) => {
                replica.set_state(ReplicaState::Down);
                silences += 1;
                if silences >= SILENCES {
                    tracing::warn!(replica = %replica.name, "replica does not answer, its calls are given up");
                    replica.pool.sever();
                    return answered;
                }
                continue;
            }
        }
        select! {
            () = sleep(timing.probe_interval.saturating_sub(asked.elapsed())) => {}
            () = replica.look.notified() => {
                // A storm of failing calls must not become a storm of questions.
                sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

async fn ask(replica: &Replica, sender: &mut Sender) -> Result<ReplicaState, BoxError> {
    let uri = replica.absolute(&http::Uri::from_static(READY_PATH));
    let request = Request::builder().uri(uri).body(Body::empty())?;
    let response = sender.send_request(request).await?;
    Ok(if response.status() == StatusCode::OK { ReplicaState::Ready } else { ReplicaState::Draining })
}
