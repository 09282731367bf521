//! The beginning of a session: the device and its first tokens, in the caller's transaction.

use std::time::Duration;

use matrixon_http::RequestMeta;
use matrixon_runtime::random;
use matrixon_store::{StoreError, Tx};
use ruma::{OwnedDeviceId, OwnedUserId};
use sha2::{Digest as _, Sha256};

use super::{last_seen::shorten_user_agent, revocations::Revocation, tokens::Token};
use crate::{
    error::AuthError,
    outbox::Outbox,
    state::Auth,
    store::{
        access_tokens::{self, NewAccessToken},
        devices::{self, NewDevice},
        refresh_tokens::{self, NewRefreshToken},
    },
};

/// Ids of devices are parts of index keys and of every request's trace.
const MAX_DEVICE_ID_BYTES: usize = 255;
const MAX_DISPLAY_NAME_CHARS: usize = 100;
const GENERATED_DEVICE_ID_CHARS: usize = 10;

/// What a client wishes for the device it logs in with.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeviceWish {
    pub device_id: Option<OwnedDeviceId>,
    pub display_name: Option<String>,
    pub refresh_token: bool,
}

/// What a client gets.
pub(crate) struct Session {
    pub user_id: OwnedUserId,
    pub device_id: OwnedDeviceId,
    pub access_token: String,
    pub refresh_token: Option<String>,
    pub expires_in: Option<Duration>,
}

/// The tokens of one generation.
pub(crate) struct Generation {
    pub access_token: String,
    pub refresh_token: Option<String>,
    pub expires_in: Option<Duration>,
}

impl DeviceWish {
    /// `M_INVALID_PARAM` ← a device id over 255 bytes · `M_TOO_LARGE` ← a name over 100 characters
    pub(crate) fn check(&self) -> Result<(), AuthError> {
        if self.device_id.as_ref().is_some_and(|device_id| device_id.as_str().len() > MAX_DEVICE_ID_BYTES) {
            return Err(AuthError::InvalidParam(format!("a device id has at most {MAX_DEVICE_ID_BYTES} bytes")));
        }
        check_display_name(self.display_name.as_deref())
    }
}

/// `M_TOO_LARGE` ← over 100 characters
pub(crate) fn check_display_name(name: Option<&str>) -> Result<(), AuthError> {
    if name.is_some_and(|name| name.chars().count() > MAX_DISPLAY_NAME_CHARS) {
        return Err(AuthError::TooLarge("a device name has at most 100 characters"));
    }
    Ok(())
}

/// Makes the device (or takes over a known one, whose former tokens end) with a first generation of tokens.
/// What goes into the outbox must be appended before the commit.
pub(crate) async fn start_session(
    auth: &Auth,
    tx: &mut Tx,
    outbox: &mut Outbox,
    (account, user_id): (i64, OwnedUserId),
    wish: DeviceWish,
    meta: &RequestMeta,
) -> Result<Session, AuthError> {
    let device_id = wish.device_id.filter(|device_id| !device_id.as_str().is_empty());
    let device_id = device_id.unwrap_or_else(|| generate_device_id(&meta.idempotency_key));
    let seen_ip = meta.remote_addr.map(|address| address.to_string());
    let user_agent = meta.user_agent.as_deref().map(shorten_user_agent);
    let device = NewDevice {
        account,
        device_id: device_id.as_str(),
        display_name: wish.display_name.as_deref(),
        seen_ts: auth.clock.now_ms(),
        seen_ip: seen_ip.as_deref(),
        seen_user_agent: user_agent.as_deref(),
    };
    let (device, is_new) = devices::upsert_device(tx, &device).await?;
    if access_tokens::delete_tokens_of_device(tx, device).await? {
        outbox.revoke(Revocation::device(&user_id, device_id.as_str()));
    }
    if is_new {
        outbox.device_changed(&user_id, device_id.as_str());
    }
    let generation = Wish { refreshable: wish.refresh_token, replaces: None, request: meta.idempotency_key.as_str() };
    let tokens = insert_generation(auth, tx, device, generation).await?;
    Ok(Session {
        user_id,
        device_id,
        access_token: tokens.access_token,
        refresh_token: tokens.refresh_token,
        expires_in: tokens.expires_in,
    })
}

/// What a generation of tokens is to be.
pub(crate) struct Wish<'a> {
    /// The client can use a refresh token.
    pub refreshable: bool,
    /// The refresh token that ends once this generation is used.
    pub replaces: Option<i64>,
    /// Idempotency key of the request.
    pub request: &'a str,
}

/// Makes an access token, with a refresh token where the client can use one.
pub(crate) async fn insert_generation(
    auth: &Auth,
    tx: &mut Tx,
    device: i64,
    wish: Wish<'_>,
) -> Result<Generation, StoreError> {
    let now_ms = auth.clock.now_ms();
    let mut refresh_token = None;
    let mut refresh = None;
    let Wish { refreshable, replaces, request } = wish;
    if refreshable {
        let token = Token::new_refresh();
        let row = NewRefreshToken {
            token_sha256: &token.sha256,
            device,
            replaces,
            created_ts: now_ms,
            created_by_request: request,
        };
        refresh = Some(refresh_tokens::insert_refresh_token(tx, &row).await?);
        refresh_token = Some(token.text);
    }
    let lifetime = auth.config.access_token_lifetime(refreshable);
    let access = Token::new_access();
    let row = NewAccessToken {
        token_sha256: &access.sha256,
        device,
        refresh,
        replaces,
        expires_ts: lifetime.map(|lifetime| now_ms.saturating_add(lifetime.as_millis() as i64)),
        created_ts: now_ms,
    };
    access_tokens::insert_access_token(tx, &row).await?;
    Ok(Generation { access_token: access.text, refresh_token, expires_in: lifetime })
}

/// The same for every attempt at one request, so that a retry takes over the device of the attempt before.
fn generate_device_id(idempotency_key: &str) -> OwnedDeviceId {
    let seed: [u8; 32] = if idempotency_key.is_empty() {
        random::bytes()
    } else {
        Sha256::new().chain_update("device").chain_update(idempotency_key).finalize().into()
    };
    let letters = seed.iter().take(GENERATED_DEVICE_ID_CHARS).map(|byte| char::from(b'A' + byte % 26));
    OwnedDeviceId::from(letters.collect::<String>())
}
