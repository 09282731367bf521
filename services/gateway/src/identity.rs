//! Who a token belongs to. Sessions are cached; the gapless stream of revocations keeps the cache honest: an entry is
//! trusted only while this gateway knows every revocation up to less than [`TRUST`] ago.

mod follower;
mod sessions;
mod sightings;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use matrixon_http::{MatrixError, Standing, UserAuth};
use matrixon_proto::auth::v1::{AuthenticateRequest, auth_client::AuthClient};
use matrixon_rpc::Rpc;
use matrixon_runtime::{
    clock::Clock,
    metrics::{IntCounter, counter},
};
use sha2::{Digest as _, Sha256};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout},
};

pub(crate) use self::{
    follower::{SUBJECT, follow},
    sightings::{Origin, report},
};
use self::{
    sessions::{Session, Sessions},
    sightings::Sightings,
};
use crate::config::Config;

/// A revocation takes effect within a second: this and the time that a poll takes.
const TRUST: Duration = Duration::from_millis(900);

/// How long a request waits for the poll that makes the cache trustworthy again, before it asks for itself.
const REFRESH_WITHIN: Duration = Duration::from_millis(250);

/// How long a refusal waits for what may undo it.
const NEWS_WITHIN: Duration = Duration::from_secs(2);

/// No token of ours is longer, in bytes.
const MAX_TOKEN: usize = 1_024;

const AUTHENTICATE_WITHIN: Duration = Duration::from_secs(10);

/// Resolves access tokens; clones share the cache.
#[derive(Clone)]
pub(crate) struct Identity(Arc<Inner>);

struct Inner {
    sessions: Sessions,
    rpc: Rpc,
    clock: Clock,
    sightings: Sightings,
    /// A session is reported at most this often.
    sighting_every: Duration,
    /// When the last successful poll was sent: everything that happened before is known.
    known_at: watch::Sender<Option<Instant>>,
    poll_now: Notify,
    hits: IntCounter,
    misses: IntCounter,
}

impl Identity {
    pub(crate) fn new(rpc: Rpc, config: &Config, clock: Clock) -> Self {
        let requests = counter("cache_requests_total", "Look-ups in caches.", &["cache", "result"]);
        Self(Arc::new(Inner {
            sessions: Sessions::new(config.token_cache_bytes),
            rpc,
            clock,
            sightings: Sightings::default(),
            sighting_every: Duration::from_secs(config.sighting_seconds.max(1)),
            known_at: watch::Sender::new(None),
            poll_now: Notify::new(),
            hits: requests.with_label_values(&["gateway_sessions", "hit"]),
            misses: requests.with_label_values(&["gateway_sessions", "miss"]),
        }))
    }

    /// Whom a token belongs to. Before somebody is refused whom what is cached does not let in (`admits`), all news are waited
    /// for: they may have been promoted or unlocked a moment ago.
    ///
    /// `M_UNKNOWN_TOKEN` ← nobody holds the token · 503 ← the auth service is away
    pub(crate) async fn resolve(
        &self,
        token: &str,
        origin: Origin<'_>,
        admits: impl Fn(&UserAuth) -> bool,
    ) -> Result<UserAuth, MatrixError> {
        if token.len() > MAX_TOKEN {
            return Err(MatrixError::unknown_token(false));
        }
        let token_sha256: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let arrived = Instant::now();
        let mut cached = self.find_cached(&token_sha256).await;
        if cached.as_ref().is_some_and(|user| !admits(user)) {
            self.wait_known(arrived).await;
            cached = self.0.sessions.find(&token_sha256, self.0.clock.now_ms());
        }
        if let Some(user) = cached {
            self.0.hits.inc();
            let now_ms = self.0.clock.now_ms();
            if self.0.sessions.is_due(&token_sha256, now_ms, self.0.sighting_every) {
                self.0.sightings.note(&user, now_ms, origin);
            }
            return Ok(user);
        }
        self.0.misses.inc();
        Box::pin(self.authenticate(token, token_sha256, origin)).await
    }

    /// The next request of this user is looked up again: for what this gateway itself has just seen the user change.
    pub(crate) fn forget_user(&self, user_id: &str) {
        self.0.sessions.forget_user(user_id);
    }

    async fn find_cached(&self, token_sha256: &[u8; 32]) -> Option<UserAuth> {
        // An unknown token needs no fresh cache; and what was found before waiting may have been revoked meanwhile.
        self.0.sessions.find(token_sha256, self.0.clock.now_ms())?;
        if !self.is_fresh() && !Box::pin(self.wait_fresh()).await {
            return None;
        }
        self.0.sessions.find(token_sha256, self.0.clock.now_ms())
    }

    fn is_fresh(&self) -> bool {
        is_recent(*self.0.known_at.borrow())
    }

    /// One poll makes the whole cache trustworthy: much cheaper than every request authenticating for itself.
    async fn wait_fresh(&self) -> bool {
        let mut known_at = self.0.known_at.subscribe();
        self.0.poll_now.notify_one();
        let fresh = known_at.wait_for(|known_at| is_recent(*known_at));
        matches!(timeout(REFRESH_WITHIN, fresh).await, Ok(Ok(_)))
    }

    /// Returns when all that was revoked before `moment` is known, or when that takes too long. However many wait, one poll
    /// serves them all.
    async fn wait_known(&self, moment: Instant) {
        let mut known_at = self.0.known_at.subscribe();
        self.0.poll_now.notify_one();
        let known = known_at.wait_for(|known_at| known_at.is_some_and(|at| at > moment));
        let _late = timeout(NEWS_WITHIN, known).await;
    }

    async fn authenticate(
        &self,
        token: &str,
        token_sha256: [u8; 32],
        origin: Origin<'_>,
    ) -> Result<UserAuth, MatrixError> {
        let mut request = tonic::Request::new(AuthenticateRequest {
            access_token: token.to_owned(),
            remote_addr: origin.remote_addr(),
            user_agent: origin.short_user_agent(),
        });
        request.set_timeout(AUTHENTICATE_WITHIN);
        let answer = AuthClient::new(self.0.rpc.clone()).authenticate(request).await?.into_inner();
        let user_id = answer.user_id.as_str().try_into().map_err(|_| {
            tracing::error!("the auth service named a malformed user id");
            MatrixError::internal()
        })?;
        let user = UserAuth {
            user_id,
            device_id: answer.device_id.into(),
            admin: answer.admin,
            standing: Standing { guest: answer.guest, suspended: answer.suspended, locked: answer.locked },
            token_sha256,
        };
        self.0.sessions.insert(Session {
            user: user.clone(),
            expires_at_ms: (answer.expires_at_ms > 0).then_some(answer.expires_at_ms),
            position: answer.revocations_position,
            seen_ms: self.0.clock.now_ms(),
        });
        Ok(user)
    }
}

fn is_recent(known_at: Option<Instant>) -> bool {
    known_at.is_some_and(|known_at| known_at.elapsed() < TRUST)
}
