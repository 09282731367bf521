//! What the command line does with accounts, on the database itself.

use matrixon_runtime::{clock::Clock, random};
use matrixon_store::Db;
use ruma::{OwnedUserId, ServerName};

use crate::{
    accounts::{localpart, password::Passwords},
    config::Config,
    error::AuthError,
    outbox::{self, Outbox},
    sessions::end::end_all,
    store::{
        one_time_keys,
        registration_tokens::{self, RegistrationToken},
        users::{self, NewUser},
    },
};

const TOKEN_CHARS: usize = 24;
/// The specification's limit and alphabet of registration tokens.
const MAX_TOKEN_CHARS: usize = 64;

/// An account to be made by an operator.
#[derive(Clone)]
pub struct CreateUser {
    pub username: String,
    pub password: String,
    pub admin: bool,
}

/// Makes an account. `M_USER_IN_USE` ← taken · `M_INVALID_USERNAME`, `M_WEAK_PASSWORD` ← against the rules
pub async fn create_user(
    db: &Db,
    config: &Config,
    server_name: &ServerName,
    new: CreateUser,
) -> Result<OwnedUserId, AuthError> {
    let user_id = localpart::build_user_id(&new.username, server_name)?;
    let hash = hash_password(config, new.password).await?;
    let mut tx = db.begin().await?;
    let row = NewUser {
        user_id: user_id.as_str(),
        password_hash: Some(&hash),
        admin: new.admin,
        displayname: Some(user_id.localpart()),
        created_ts: Clock::system().now_ms(),
        created_by_request: None,
    };
    users::insert_user(&mut tx, &row).await?.ok_or(AuthError::UserInUse)?;
    if new.admin {
        registration_tokens::delete_bootstrap_token(&mut tx).await?;
    }
    tx.commit().await?;
    Ok(user_id)
}

/// Sets a password and, unless told otherwise, ends every session of the user. A name or a full user id.
/// `M_NOT_FOUND` ← no such user
pub async fn reset_password(
    db: &Db,
    config: &Config,
    server_name: &ServerName,
    name: &str,
    (password, logout_devices): (String, bool),
) -> Result<OwnedUserId, AuthError> {
    let unknown = || AuthError::UnknownUser(name.to_owned());
    let user_id = localpart::find_named(name, server_name).ok_or_else(unknown)?;
    let hash = hash_password(config, password).await?;
    let mut tx = db.begin().await?;
    if !users::update_password_hash(&mut tx, user_id.as_str(), &hash).await? {
        return Err(unknown());
    }
    let mut outbox = Outbox::default();
    if logout_devices {
        end_all(&mut tx, &mut outbox, &user_id).await?;
    }
    // no bell: gateways and sync read the streams themselves
    drop(outbox::append(&mut tx, &outbox, Clock::system().now_ms()).await?);
    tx.commit().await?;
    Ok(user_id)
}

/// A registration token to be made by an operator.
#[derive(Clone, Debug, Default)]
pub struct CreateRegistrationToken {
    /// None: a random one.
    pub token: Option<String>,
    pub uses_allowed: Option<u32>,
    pub expires_ts: Option<i64>,
    pub grants_admin: bool,
}

/// `M_INVALID_PARAM` ← not `A-Za-z0-9._~-`, over 64 characters, or there is one already
pub async fn create_registration_token(db: &Db, new: CreateRegistrationToken) -> Result<RegistrationToken, AuthError> {
    let token = new.token.unwrap_or_else(|| random::id(TOKEN_CHARS));
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'~' | b'-');
    if token.is_empty() || token.len() > MAX_TOKEN_CHARS || !token.bytes().all(allowed) {
        let rule = "a registration token consists of 1 to 64 of the characters A-Z, a-z, 0-9 and ._~-";
        return Err(AuthError::InvalidParam(rule.to_owned()));
    }
    let row = RegistrationToken {
        token,
        uses_allowed: new.uses_allowed.map(i64::from),
        completed: 0,
        expires_ts: new.expires_ts,
        grants_admin: new.grants_admin,
        created_ts: Clock::system().now_ms(),
    };
    if !registration_tokens::insert_token(db, &row).await? {
        return Err(AuthError::InvalidParam("there is a registration token of this name already".to_owned()));
    }
    Ok(row)
}

pub async fn list_registration_tokens(db: &Db) -> Result<Vec<RegistrationToken>, AuthError> {
    Ok(registration_tokens::list_tokens(db).await?)
}

/// What [`after_restore`] took back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Invalidated {
    pub one_time_keys: u64,
    pub fallback_keys: u64,
}

/// To be called once after the database was restored from an older copy, before services start: one-time keys that may
/// have been given out since are deleted, so that none is given twice, and fallback keys count as used, so that clients
/// replace them. Clients see that and upload new ones. Harmless when repeated.
pub async fn after_restore(db: &Db) -> Result<Invalidated, AuthError> {
    const BATCH: i64 = 5_000;
    let mut all = Invalidated::default();
    loop {
        let (one_time_keys, fallback_keys) = one_time_keys::invalidate_batch(db, BATCH).await?;
        all.one_time_keys += one_time_keys;
        all.fallback_keys += fallback_keys;
        if one_time_keys == 0 && fallback_keys == 0 {
            return Ok(all);
        }
    }
}

/// False: there was none.
pub async fn revoke_registration_token(db: &Db, token: &str) -> Result<bool, AuthError> {
    Ok(registration_tokens::delete_token(db, token).await?)
}

/// The token with which the first administrator registers; the same one until there is an account. None: there is one.
pub async fn ensure_bootstrap_token(db: &Db) -> Result<Option<String>, AuthError> {
    if users::any_user(db).await? {
        return Ok(None);
    }
    let token = random::id(TOKEN_CHARS);
    Ok(Some(registration_tokens::ensure_bootstrap_token(db, &token, Clock::system().now_ms()).await?))
}

async fn hash_password(config: &Config, password: String) -> Result<String, AuthError> {
    let passwords = Passwords::new(&config.password).map_err(AuthError::Internal)?;
    passwords.check_new(&password)?;
    passwords.hash(password).await
}
