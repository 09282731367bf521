//! When and from where sessions were seen that the cache knew: gathered here, reported to the auth service in batches.
//! Losing a report matters to nobody.

use std::{net::IpAddr, time::Duration};

use matrixon_http::UserAuth;
use matrixon_proto::auth::v1::{ReportSightingsRequest, Sighting, auth_client::AuthClient};
use matrixon_runtime::shutdown::Shutdown;
use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::Identity;

/// Sightings held at most; more are dropped until the next report.
const MAX_PENDING: usize = 50_000;
/// Sightings of one call.
const BATCH: usize = 1_000;
const MAX_USER_AGENT_BYTES: usize = 256;
const REPORT_WITHIN: Duration = Duration::from_secs(10);
/// However seldom a session is reported, what has gathered is sent at least so often.
const AT_LEAST_EVERY: Duration = Duration::from_mins(1);

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    pub(crate) remote: IpAddr,
    pub(crate) user_agent: Option<&'a str>,
}

#[derive(Default)]
pub(super) struct Sightings {
    pending: Mutex<Vec<Sighting>>,
}

impl Origin<'_> {
    pub(super) fn remote_addr(self) -> String {
        self.remote.to_string()
    }

    /// Cut to what is kept of it; empty when there is none.
    pub(super) fn short_user_agent(self) -> String {
        let agent = self.user_agent.unwrap_or_default();
        let end = (0..=MAX_USER_AGENT_BYTES.min(agent.len())).rev().find(|end| agent.is_char_boundary(*end));
        agent[..end.unwrap_or(0)].to_owned()
    }
}

impl Sightings {
    pub(super) fn note(&self, user: &UserAuth, seen_ms: i64, origin: Origin<'_>) {
        let mut pending = self.pending.lock();
        if pending.len() < MAX_PENDING {
            pending.push(Sighting {
                user_id: user.user_id.to_string(),
                device_id: user.device_id.to_string(),
                seen_ms,
                remote_addr: origin.remote_addr(),
                user_agent: origin.short_user_agent(),
            });
        }
    }
}

/// Runs until the process stops, and reports once more then.
pub(crate) async fn report(identity: Identity, shutdown: Shutdown) {
    let every = identity.0.sighting_every.min(AT_LEAST_EVERY);
    let mut tick = interval_at(Instant::now() + every, every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.wait_draining() => break,
            _ = tick.tick() => identity.report_sightings().await,
        }
    }
    identity.report_sightings().await;
}

impl Identity {
    pub(super) async fn report_sightings(&self) {
        let pending = std::mem::take(&mut *self.0.sightings.pending.lock());
        let mut client = AuthClient::new(self.0.rpc.clone());
        for batch in pending.chunks(BATCH) {
            let mut request = tonic::Request::new(ReportSightingsRequest { sightings: batch.to_vec() });
            request.set_timeout(REPORT_WITHIN);
            if let Err(status) = client.report_sightings(request).await {
                tracing::debug!(%status, sightings = batch.len(), "sightings of sessions were not reported");
            }
        }
    }
}
