//! Asking for a mail, and following the link in it.

use std::net::IpAddr;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use matrixon_runtime::random;
use matrixon_store::Tx;
use ruma::OwnedSessionId;
use sha2::{Digest as _, Sha256};

use super::{Credentials, EMAIL, Purpose, ThreepidError, address};
use crate::{
    error::AuthError,
    mail::Mail,
    sessions::tokens::hash_token,
    state::Auth,
    store::{
        mail_queue, threepids,
        validations::{self, NewValidation, ValidationRow},
    },
    uia::Stage,
};

const SID_CHARS: usize = 24;
const MAX_NEXT_LINK_BYTES: usize = 2_000;
/// A day: how long a confirmation waits for the request that it was made for.
const CONFIRMED_MS: i64 = 86_400_000;

/// A client asks for a mail.
pub(crate) struct Ask {
    pub purpose: Purpose,
    pub email: String,
    pub client_secret: String,
    pub send_attempt: u64,
    pub next_link: Option<String>,
    pub remote_addr: Option<IpAddr>,
}

/// Puts a mail into the queue, in one transaction with the session that it belongs to; the session's id.
///
/// Unless configured otherwise the answer is the same whether or not the address is known: the owner of a known address
/// is told, where there is something to tell, and nobody else.
///
/// `M_THREEPID_MEDIUM_NOT_SUPPORTED` ← no e-mail here · `M_INVALID_PARAM` ← no address · `M_THREEPID_DENIED` ← not a
/// domain that may · `M_FORBIDDEN` ← nobody may register · `M_LIMIT_EXCEEDED` ← too many mails ·
/// `M_THREEPID_IN_USE`, `M_THREEPID_NOT_FOUND` ← if configured
pub(crate) async fn request_token(auth: &Auth, ask: Ask) -> Result<OwnedSessionId, AuthError> {
    let config = &auth.config.email;
    if !config.is_enabled() {
        return Err(ThreepidError::MediumNotSupported.into());
    }
    if ask.purpose == Purpose::Register && !registers_by_email(auth) {
        return Err(AuthError::RegistrationClosed);
    }
    let email = address::canonical_email(&ask.email)?;
    if !config.allowed_domains.is_empty() && !address::is_in_domains(&email, &config.allowed_domains) {
        return Err(ThreepidError::Denied.into());
    }
    check_next_link(ask.next_link.as_deref())?;
    limit(auth, &ask, &email).await?;
    let known = threepids::find_owner(&auth.db, EMAIL, &email).await?.is_some();
    let mail = match (ask.purpose, known) {
        (Purpose::Password, false) if config.reveal_addresses => return Err(ThreepidError::NotFound.into()),
        (Purpose::Password, false) => Mail::Nothing,
        (Purpose::Password, true) | (_, false) => Mail::Validate(ask.purpose),
        (_, true) if config.reveal_addresses => return Err(ThreepidError::InUse.into()),
        (_, true) => Mail::Taken,
    };
    let sid = enqueue(auth, &ask, &email, mail).await?;
    auth.mailer.wake();
    OwnedSessionId::try_from(sid).map_err(|_| AuthError::Internal("a session id of ours is none".to_owned()))
}

fn registers_by_email(auth: &Auth) -> bool {
    auth.config.registration_flows().iter().flatten().any(|stage| *stage == Stage::EmailIdentity)
}

async fn enqueue(auth: &Auth, ask: &Ask, email: &str, mail: Mail) -> Result<String, AuthError> {
    let now_ms = auth.clock.now_ms();
    let lifetime = i64::try_from(auth.config.email.link_seconds.max(1)).unwrap_or(i64::MAX / 2_000);
    let expires_ts = now_ms.saturating_add(lifetime.saturating_mul(1_000));
    let sid = random::id(SID_CHARS);
    let new = NewValidation {
        sid: &sid,
        client_secret: &ask.client_secret,
        purpose: ask.purpose.as_str(),
        medium: EMAIL,
        address: email,
        send_attempt: i64::try_from(ask.send_attempt).unwrap_or(i64::MAX),
        next_link: ask.next_link.as_deref(),
        now_ms,
        expires_ts,
    };
    let mut tx = auth.db.begin().await?;
    let (sid, due) = validations::upsert_validation(&mut tx, &new).await?;
    if due {
        mail_queue::insert_mail(&mut tx, mail.as_str(), email, Some(&sid), (now_ms, expires_ts)).await?;
    }
    tx.commit().await?;
    Ok(sid)
}

/// Only pages: the link is shown, with its address, when all is done.
fn check_next_link(link: Option<&str>) -> Result<(), AuthError> {
    let Some(link) = link else { return Ok(()) };
    let web = link.starts_with("https://") || link.starts_with("http://");
    if !web || link.len() > MAX_NEXT_LINK_BYTES || link.chars().any(|one| one.is_control() || one.is_whitespace()) {
        return Err(AuthError::InvalidParam("`next_link` must be the address of a web page".to_owned()));
    }
    Ok(())
}

/// Without the cache there are no such limits; the gateway's own remain.
async fn limit(auth: &Auth, ask: &Ask, email: &str) -> Result<(), AuthError> {
    let config = &auth.config.email;
    // addresses are nothing for a cache to know
    let address = URL_SAFE_NO_PAD.encode(Sha256::digest(email));
    let mut buckets = vec![(format!("rl:mail:to:{address}"), config.per_address_per_hour)];
    if let Some(client) = ask.remote_addr {
        buckets.push((format!("rl:mail:by:{client}"), config.per_client_per_hour));
    }
    for (key, per_hour) in buckets {
        let (rate, burst) = (f64::from(per_hour) / 3_600.0, f64::from(per_hour.max(1)));
        match auth.cache.take_token(&key, rate, burst, 1.0).await {
            Ok(bucket) if !bucket.allowed => {
                return Err(AuthError::LimitExceeded(bucket.retry_after.as_millis().max(1) as u64));
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "mails are not limited for the moment"),
        }
    }
    Ok(())
}

/// What a link leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Linked {
    pub purpose: Purpose,
    pub address: String,
    pub next_link: Option<String>,
    /// Somebody has been here before.
    pub confirmed: bool,
}

/// `M_TOKEN_INCORRECT` ← unknown · `M_SESSION_EXPIRED` ← too late
pub(crate) async fn find_linked(auth: &Auth, token: &str) -> Result<Linked, AuthError> {
    Ok(linked(find_session(auth, token).await?)?)
}

/// Confirms the address. A second time changes nothing, and is no error: it may be the retry of the first.
/// `M_TOKEN_INCORRECT` ← unknown · `M_SESSION_EXPIRED` ← too late
pub(crate) async fn confirm(auth: &Auth, token: &str) -> Result<Linked, AuthError> {
    let row = find_session(auth, token).await?;
    confirm_row(auth, row).await
}

/// The same for who knows the session too. `M_TOKEN_INCORRECT` ← the token is of another session
pub(crate) async fn confirm_session(auth: &Auth, creds: &Credentials, token: &str) -> Result<Linked, AuthError> {
    let row = find_session(auth, token).await?;
    if row.sid != creds.sid || row.client_secret != creds.client_secret {
        return Err(ThreepidError::TokenIncorrect.into());
    }
    confirm_row(auth, row).await
}

async fn confirm_row(auth: &Auth, row: ValidationRow) -> Result<Linked, AuthError> {
    if row.validated_ts.is_none() {
        let now_ms = auth.clock.now_ms();
        let until = now_ms.saturating_add(CONFIRMED_MS);
        let first = validations::set_validated(&auth.db, &row.sid, now_ms, until).await?;
        // in time when it was looked at, and not any more; otherwise somebody else has confirmed it
        if !first && row.expires_ts <= now_ms {
            return Err(ThreepidError::SessionExpired.into());
        }
    }
    Ok(linked(row)?)
}

async fn find_session(auth: &Auth, token: &str) -> Result<ValidationRow, AuthError> {
    let row = validations::find_by_token(&auth.db, &hash_token(token)).await?;
    let row = row.ok_or(ThreepidError::TokenIncorrect)?;
    if row.expires_ts <= auth.clock.now_ms() || row.consumed_by.is_some() {
        return Err(ThreepidError::SessionExpired.into());
    }
    Ok(row)
}

fn linked(row: ValidationRow) -> Result<Linked, ThreepidError> {
    Ok(Linked {
        purpose: Purpose::from_name(&row.purpose).ok_or(ThreepidError::TokenIncorrect)?,
        address: row.address,
        next_link: row.next_link,
        confirmed: row.validated_ts.is_some(),
    })
}

/// A confirmation that nobody has made use of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Confirmed {
    InTime,
    TooLongAgo,
}

/// Has the address of this session been confirmed, for this purpose, and not been made use of?
pub(crate) async fn find_confirmed(
    auth: &Auth,
    creds: &Credentials,
    purpose: Purpose,
) -> Result<Option<Confirmed>, AuthError> {
    let row = validations::find_validation(&auth.db, &creds.sid).await?;
    let confirmed = row.filter(|row| {
        row.client_secret == creds.client_secret
            && row.purpose == purpose.as_str()
            && row.validated_ts.is_some()
            && row.consumed_by.is_none()
    });
    let in_time = |row: &ValidationRow| row.expires_ts > auth.clock.now_ms();
    Ok(confirmed.map(|row| if in_time(&row) { Confirmed::InTime } else { Confirmed::TooLongAgo }))
}

/// Was this confirmation, which was good once, too long ago to be made use of now? It may have been pruned.
pub(crate) async fn is_over(auth: &Auth, creds: &Credentials) -> Result<bool, AuthError> {
    let row = validations::find_validation(&auth.db, &creds.sid).await?;
    Ok(row.is_none_or(|row| row.expires_ts <= auth.clock.now_ms()))
}

/// Makes use of a confirmation, which nobody else then can. `M_THREEPID_AUTH_FAILED` ← not confirmed, or used
pub(crate) async fn consume(
    auth: &Auth,
    tx: &mut Tx,
    (creds, purpose): (&Credentials, Purpose),
    request: &str,
) -> Result<ValidationRow, AuthError> {
    let session = (creds.sid.as_str(), creds.client_secret.as_str(), purpose.as_str());
    // a request that has no name is tried once
    let nameless = random::id(SID_CHARS);
    let request = if request.is_empty() { &nameless } else { request };
    let row = validations::consume(tx, session, request, auth.clock.now_ms()).await?;
    Ok(row.ok_or(ThreepidError::AuthFailed)?)
}
