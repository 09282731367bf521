//! Making an account, exactly once however often its request is tried.

use matrixon_http::RequestMeta;
use matrixon_store::Tx;
use ruma::OwnedUserId;

use super::localpart;
use crate::{
    error::AuthError,
    outbox::{self, Outbox},
    sessions::{
        login::owned_user_id,
        revocations::Revocation,
        start::{DeviceWish, Session, start_session},
    },
    state::Auth,
    store::{
        registration_tokens, user_states, user_terms,
        users::{self, NewUser, UserRow},
    },
    threepids::{Credentials, Purpose, add::add_in},
};

/// A registration whose authentication is complete.
pub(crate) struct NewAccount {
    /// None: any name will do.
    pub username: Option<String>,
    /// The guest that becomes a full account; see [`find_upgrade`](super::guests::find_upgrade).
    pub upgrades: Option<OwnedUserId>,
    pub password_hash: String,
    pub registration_token: Option<String>,
    /// The confirmed e-mail address that the account gets.
    pub validation: Option<Credentials>,
    /// The documents of `auth.terms` have been agreed to.
    pub terms: bool,
    /// None: no log-in wished.
    pub device: Option<DeviceWish>,
}

/// `M_USER_IN_USE` ← somebody else has the name · [`AuthError::RegistrationTokenSpent`] ← the token's last use is gone ·
/// `M_THREEPID_IN_USE` ← somebody else has the address · `M_THREEPID_AUTH_FAILED` ← its confirmation is used up
pub(crate) async fn create_account(
    auth: &Auth,
    new: NewAccount,
    meta: &RequestMeta,
) -> Result<(OwnedUserId, Option<Session>), AuthError> {
    let user_id = match (&new.upgrades, &new.username) {
        (Some(guest), _) => guest.clone(),
        (None, Some(username)) => localpart::build_user_id(username, &auth.server_name)?,
        (None, None) => localpart::generate_user_id(&auth.server_name)?,
    };
    let mut tx = auth.db.begin().await?;
    let account = insert_account(auth, &mut tx, &user_id, &new, meta).await?;
    let mut outbox = Outbox::default();
    if let Some(guest) = &new.upgrades {
        // gateways know a guest until they forget it
        outbox.revoke(Revocation::user(guest));
    }
    let session = match new.device {
        None => None,
        Some(device) => {
            let holder = (account, user_id.clone());
            Some(start_session(auth, &mut tx, &mut outbox, holder, device, meta).await?)
        }
    };
    outbox.account_made(&user_id);
    outbox::commit(auth, tx, outbox).await?;
    Ok((user_id, session))
}

async fn insert_account(
    auth: &Auth,
    tx: &mut Tx,
    user_id: &OwnedUserId,
    new: &NewAccount,
    meta: &RequestMeta,
) -> Result<i64, AuthError> {
    let now_ms = auth.clock.now_ms();
    let mut admin = false;
    // The token first: its row lock puts the registrations that share it into a queue.
    if let Some(token) = &new.registration_token {
        admin = registration_tokens::use_token(tx, token, now_ms).await?.ok_or(AuthError::RegistrationTokenSpent)?;
    }
    if new.upgrades.is_some() {
        let (hash, request) = (&new.password_hash, request_key(meta));
        let account = user_states::upgrade_guest(tx, user_id.as_str(), hash, request).await?;
        return account.ok_or(AuthError::UserInUse);
    }
    let row = NewUser {
        user_id: user_id.as_str(),
        password_hash: Some(&new.password_hash),
        admin,
        displayname: Some(user_id.localpart()),
        created_ts: now_ms,
        created_by_request: request_key(meta),
    };
    let account = users::insert_user(tx, &row).await?.ok_or(AuthError::UserInUse)?;
    if admin {
        registration_tokens::delete_bootstrap_token(tx).await?;
    }
    if let Some(creds) = &new.validation {
        add_in(auth, tx, account, (creds, Purpose::Register), &meta.idempotency_key).await?;
    }
    for (id, policy) in auth.config.terms.iter().filter(|_| new.terms) {
        user_terms::upsert_accepted(tx, account, id, &policy.version, now_ms).await?;
    }
    Ok(account)
}

/// The account that an earlier attempt at this request made, and a session for it.
pub(crate) async fn resume_account(
    auth: &Auth,
    device: Option<DeviceWish>,
    meta: &RequestMeta,
) -> Result<Option<(OwnedUserId, Option<Session>)>, AuthError> {
    match find_created_by(auth, meta).await? {
        Some(user) => log_in_again(auth, &user, device, meta).await.map(Some),
        None => Ok(None),
    }
}

/// The account that an earlier request with the same interactive session made, and a session for it.
pub(crate) async fn resume_registered(
    auth: &Auth,
    user_id: &str,
    device: Option<DeviceWish>,
    meta: &RequestMeta,
) -> Result<(OwnedUserId, Option<Session>), AuthError> {
    let user = users::find_user(&auth.db, user_id).await?.filter(|user| !user.deactivated);
    log_in_again(auth, &user.ok_or(AuthError::UserInUse)?, device, meta).await
}

async fn log_in_again(
    auth: &Auth,
    user: &UserRow,
    device: Option<DeviceWish>,
    meta: &RequestMeta,
) -> Result<(OwnedUserId, Option<Session>), AuthError> {
    let user_id = owned_user_id(user)?;
    let Some(device) = device else { return Ok((user_id, None)) };
    let (mut tx, mut outbox) = (auth.db.begin().await?, Outbox::default());
    let holder = (user.id, user_id.clone());
    let session = start_session(auth, &mut tx, &mut outbox, holder, device, meta).await?;
    outbox::commit(auth, tx, outbox).await?;
    Ok((user_id, Some(session)))
}

/// `M_INVALID_USERNAME` ← see [`localpart::build_user_id`] · `M_USER_IN_USE` ← taken, in whatever capitals
pub(crate) async fn check_available(auth: &Auth, username: &str) -> Result<(), AuthError> {
    let user_id = localpart::build_user_id(username, &auth.server_name)?;
    if users::is_taken(&auth.db, user_id.as_str()).await? {
        return Err(AuthError::UserInUse);
    }
    Ok(())
}

async fn find_created_by(auth: &Auth, meta: &RequestMeta) -> Result<Option<UserRow>, AuthError> {
    match request_key(meta) {
        Some(request) => Ok(users::find_user_created_by(&auth.db, request).await?),
        None => Ok(None),
    }
}

/// Longer keys than this would not fit an index.
const MAX_KEY_BYTES: usize = 255;

pub(super) fn request_key(meta: &RequestMeta) -> Option<&str> {
    Some(meta.idempotency_key.as_str()).filter(|key| !key.is_empty() && key.len() <= MAX_KEY_BYTES)
}
