//! Follows the stream of revocations: every 400 ms, at once when the bus rings, and when a request needs it.

use std::time::Duration;

use matrixon_bus::{BusEvent, Subscription};
use matrixon_proto::auth::v1::{ListRevocationsRequest, auth_client::AuthClient};
use matrixon_runtime::{metrics::gauge, shutdown::Shutdown};
use tokio::time::{Instant, sleep};

use super::Identity;

pub(crate) const SUBJECT: &str = "matrixon.revocations.v1";

const EVERY: Duration = Duration::from_millis(400);
/// However often the bus rings and requests ask.
const AT_MOST_EVERY: Duration = Duration::from_millis(20);
const AFTER_FAILURE: Duration = Duration::from_millis(100);
const WITHIN: Duration = Duration::from_millis(800);
const PAGE: u32 = 1_000;

/// Runs until the process stops.
pub(crate) async fn follow(identity: Identity, mut bell: Subscription, shutdown: Shutdown) {
    let mut failing = false;
    let position = gauge("stream_position", "Position that this process has reached.", &["stream"])
        .with_label_values(&["revocations"]);
    loop {
        let polled = identity.poll().await;
        position.set(identity.0.sessions.seen().unwrap_or(0));
        match &polled {
            Ok(()) if failing => tracing::info!("revocations are followed again"),
            Err(status) if !failing => {
                tracing::warn!(%status, "cannot follow revocations, cached tokens are not trusted");
            }
            _ => {}
        }
        failing = polled.is_err();
        sleep(AT_MOST_EVERY).await;
        let pause = sleep(if failing { AFTER_FAILURE } else { EVERY });
        tokio::select! {
            () = shutdown.wait_stopped() => return,
            () = pause => {}
            () = identity.0.poll_now.notified() => {}
            BusEvent::Message { .. } | BusEvent::Reset = bell.next() => {}
        }
    }
}

impl Identity {
    /// Applies every revocation that was committed before this call.
    pub(super) async fn poll(&self) -> Result<(), tonic::Status> {
        let mut client = AuthClient::new(self.0.rpc.clone());
        loop {
            let sent_at = Instant::now();
            let since = self.0.sessions.seen().unwrap_or(-1);
            let mut request = tonic::Request::new(ListRevocationsRequest { since, limit: PAGE });
            request.set_timeout(WITHIN);
            let answer = client.list_revocations(request).await?.into_inner();
            let more = answer.revocations.len() >= PAGE as usize;
            self.0.sessions.apply(answer);
            if !more {
                self.0.known_at.send_replace(Some(sent_at));
                return Ok(());
            }
        }
    }
}
