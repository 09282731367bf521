//! Administration: one function an operation, for gRPC, REST and the command line alike. Every change goes into the
//! [audit log](crate::audit) in its own transaction.

pub(crate) mod change;
mod find;
pub(crate) mod import;
pub(crate) mod log;
pub(crate) mod registration_tokens;
pub(crate) mod reports;
pub(crate) mod users;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use matrixon_runtime::{clock::Clock, random};
use matrixon_store::Db;

use crate::{
    error::AuthError,
    store::{claims, earlier_keys, one_time_keys, registration_tokens as store, users as accounts},
};

/// Characters of a registration token that we choose.
const TOKEN_CHARS: usize = 24;

const DEFAULT_PAGE: u32 = 100;
const MAX_PAGE: u32 = 1_000;

/// The token with which the first administrator registers; the same one until there is an account. None: there is one.
pub async fn ensure_bootstrap_token(db: &Db) -> Result<Option<String>, AuthError> {
    if accounts::any_user(db).await? {
        return Ok(None);
    }
    let token = random::id(TOKEN_CHARS);
    Ok(Some(store::ensure_bootstrap_token(db, &token, Clock::system().now_ms()).await?))
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
    let mut from = 0;
    while let Some((keys, next)) = earlier_keys::delete_keys(db, from).await? {
        all.one_time_keys += keys;
        from = next;
    }
    claims::log::fold(db).await?;
    let mut last = 0;
    while let Some((queue, keys)) = one_time_keys::empty_queues(db, last, BATCH).await? {
        all.one_time_keys += keys.unsigned_abs();
        last = queue;
    }
    while one_time_keys::delete_grants(db, BATCH).await? > 0 {}
    loop {
        let used = one_time_keys::use_fallback_keys(db, BATCH).await?;
        all.fallback_keys += used;
        if used == 0 {
            return Ok(all);
        }
    }
}

/// How many rows a page has, of those that were asked for.
fn page_size(asked: u32) -> usize {
    if asked == 0 { DEFAULT_PAGE as usize } else { asked.min(MAX_PAGE) as usize }
}

/// A token that names the last row of a page.
fn encode_page(last: &str) -> String {
    BASE64.encode(last)
}

/// `M_INVALID_PARAM` ← not one of ours
fn decode_page(token: &str) -> Result<String, AuthError> {
    let text = BASE64.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.filter(|text| !text.contains('\0'))
        .ok_or_else(|| AuthError::InvalidParam("this page token is none of ours".to_owned()))
}

/// `M_INVALID_PARAM` ← NUL, which PostgreSQL cannot store
fn check_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<(), AuthError> {
    if texts.into_iter().any(|text| text.contains('\0')) {
        return Err(AuthError::InvalidParam("a text contains the character NUL".to_owned()));
    }
    Ok(())
}
