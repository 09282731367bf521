//! Where two devices meet to log one of them in by a QR code:
//! [MSC4108](https://github.com/matrix-org/matrix-spec-proposals/pull/4108), as of 2024.
//!
//! A session is a few encrypted kilobytes under an unguessable id. Each side writes only over what it has seen (an entity
//! tag), and reads until there is something new. Sessions live in SQL, so that every replica serves them all.

use matrixon_http::RequestMeta;
use matrixon_runtime::random;

use crate::{
    error::AuthError,
    state::Auth,
    store::rendezvous_sessions::{self, RendezvousRow},
};

/// The largest content, bytes.
pub(crate) const MAX_BYTES: usize = 4_096;
/// Sessions there are at most; beyond that nobody begins one.
const MAX_SESSIONS: i64 = 10_000;
/// When there are too many, some end soon.
const BUSY_RETRY_MS: u64 = 30_000;
const ID_CHARS: usize = 40;

/// A session as it is answered.
pub(crate) struct Rendezvous {
    pub content: Vec<u8>,
    pub updated_ms: i64,
    pub expires_ms: i64,
    version: i64,
}

/// What became of a write.
pub(crate) enum Written {
    Done(Rendezvous),
    /// Somebody else wrote since: what there is now.
    Conflict(Rendezvous),
}

impl Rendezvous {
    /// The entity tag, in its quotes.
    pub(crate) fn etag(&self) -> String {
        format!("\"{}\"", self.version)
    }
}

impl From<RendezvousRow> for Rendezvous {
    fn from(row: RendezvousRow) -> Self {
        Self { content: row.content, updated_ms: row.updated_ts, expires_ms: row.expires_ts, version: row.version }
    }
}

/// Begins a session and returns its id. `M_LIMIT_EXCEEDED` ← there are 10,000 already
pub(crate) async fn create(auth: &Auth, content: &[u8], meta: &RequestMeta) -> Result<(String, Rendezvous), AuthError> {
    let id = random::id(ID_CHARS);
    let now_ms = auth.clock.now_ms();
    let row = RendezvousRow {
        content: content.to_vec(),
        version: 1,
        updated_ts: now_ms,
        expires_ts: now_ms + (auth.config.rendezvous_seconds.saturating_mul(1_000)) as i64,
        updated_by_request: meta.idempotency_key.clone(),
    };
    if !rendezvous_sessions::insert_session(&auth.db, &id, &row, MAX_SESSIONS).await? {
        rendezvous_sessions::prune_sessions(&auth.db, now_ms, MAX_SESSIONS).await?;
        return Err(AuthError::TooManyAttempts { retry_after_ms: BUSY_RETRY_MS });
    }
    Ok((id, row.into()))
}

/// `M_NOT_FOUND` ← no such session, or it has ended
pub(crate) async fn get(auth: &Auth, id: &str) -> Result<Rendezvous, AuthError> {
    let row = rendezvous_sessions::find_session(&auth.db, id, auth.clock.now_ms()).await?;
    row.map(Rendezvous::from).ok_or(AuthError::UnknownRendezvous)
}

/// Writes, if the session is still the one with this entity tag. `M_NOT_FOUND` ← no such session
pub(crate) async fn update(
    auth: &Auth,
    id: &str,
    etag: &str,
    content: &[u8],
    meta: &RequestMeta,
) -> Result<Written, AuthError> {
    let seen = etag.trim().trim_matches('"').parse().unwrap_or(-1);
    let request = meta.idempotency_key.as_str();
    let now_ms = auth.clock.now_ms();
    let done = rendezvous_sessions::update_session(&auth.db, id, seen, (content, request), now_ms).await?;
    let row = rendezvous_sessions::find_session(&auth.db, id, now_ms).await?.ok_or(AuthError::UnknownRendezvous)?;
    // the same request once more, after its answer was lost
    let again = !request.is_empty() && row.updated_by_request == request;
    Ok(if done || again { Written::Done(row.into()) } else { Written::Conflict(row.into()) })
}

/// `M_NOT_FOUND` ← no such session
pub(crate) async fn delete(auth: &Auth, id: &str) -> Result<(), AuthError> {
    if rendezvous_sessions::delete_session(&auth.db, id).await? { Ok(()) } else { Err(AuthError::UnknownRendezvous) }
}
