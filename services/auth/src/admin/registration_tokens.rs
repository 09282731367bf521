//! Tokens that allow registration. They are secrets: the audit log knows only their fingerprints.

use matrixon_http::MatrixError;
use matrixon_proto::admin::v1::{
    CreateRegistrationTokenRequest, ListRegistrationTokensRequest, ListRegistrationTokensResponse,
    RegistrationToken as Message, RevokeRegistrationTokenRequest, RevokeRegistrationTokenResponse,
};
use matrixon_runtime::random;
use sha2::{Digest as _, Sha256};

use super::{TOKEN_CHARS, check_texts, decode_page, encode_page, page_size};
use crate::{
    audit::{self, Caller, Entry, chain::to_hex},
    error::AuthError,
    outbox::Outbox,
    state::Auth,
    store::registration_tokens::{self as store, RegistrationToken},
};

/// The specification's limit and alphabet of registration tokens.
const MAX_TOKEN_CHARS: usize = 64;
/// Characters of a fingerprint.
const FINGERPRINT: usize = 12;

pub(crate) async fn list(
    auth: Auth,
    _: Caller,
    request: ListRegistrationTokensRequest,
) -> Result<ListRegistrationTokensResponse, MatrixError> {
    let size = page_size(request.page_size);
    let after = if request.page_token.is_empty() { (i64::MIN, String::new()) } else { decode(&request.page_token)? };
    let rows = store::list_tokens_after(&auth.db, (after.0, &after.1), size as i64 + 1).await;
    let mut rows = rows.map_err(AuthError::from)?;
    let more = rows.len() > size;
    rows.truncate(size);
    let last = rows.last().filter(|_| more);
    let next_page_token = last.map(|row| encode_page(&format!("{} {}", row.created_ts, row.token))).unwrap_or_default();
    Ok(ListRegistrationTokensResponse { tokens: rows.into_iter().map(to_message).collect(), next_page_token })
}

fn decode(page_token: &str) -> Result<(i64, String), AuthError> {
    let text = decode_page(page_token)?;
    let parts = text.split_once(' ').and_then(|(ts, token)| Some((ts.parse().ok()?, token.to_owned())));
    parts.ok_or_else(|| AuthError::InvalidParam("this page token is none of ours".to_owned()))
}

pub(crate) async fn create(
    auth: Auth,
    caller: Caller,
    request: CreateRegistrationTokenRequest,
) -> Result<Message, MatrixError> {
    let row = RegistrationToken {
        token: request.token.clone().unwrap_or_else(|| random::id(TOKEN_CHARS)),
        uses_allowed: request.uses_allowed.map(i64::from),
        completed: 0,
        expires_ts: request.expires_ts,
        grants_admin: request.grants_admin,
        created_ts: auth.clock.now_ms(),
    };
    let entry = Entry::new("registration-token.create", fingerprint(&row.token)).with("admin", row.grants_admin);
    match insert(&auth, (&caller, &entry), row).await {
        Ok(row) => Ok(to_message(row)),
        Err(error) => Err(audit::refused(&auth, (&caller, &entry), error).await),
    }
}

async fn insert(
    auth: &Auth,
    record: (&Caller, &Entry),
    row: RegistrationToken,
) -> Result<RegistrationToken, AuthError> {
    check_token(&row.token)?;
    let key = record.0.key.as_deref();
    let mut tx = auth.db.begin().await?;
    if store::insert_token(&mut tx, &row, key).await? {
        audit::commit(auth, tx, record, Outbox::default()).await?;
        return Ok(row);
    }
    // another attempt at this request made one, or somebody else this one
    if let Some(key) = key
        && let Some(made) = store::find_token_of_request(&mut tx, key).await?
    {
        return Ok(made);
    }
    Err(AuthError::InvalidParam("there is a registration token of this name already".to_owned()))
}

/// `M_INVALID_PARAM` ← not `A-Za-z0-9._~-`, or over 64 characters
fn check_token(token: &str) -> Result<(), AuthError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'~' | b'-');
    if token.is_empty() || token.len() > MAX_TOKEN_CHARS || !token.bytes().all(allowed) {
        let rule = "a registration token consists of 1 to 64 of the characters A-Z, a-z, 0-9 and ._~-";
        return Err(AuthError::InvalidParam(rule.to_owned()));
    }
    Ok(())
}

pub(crate) async fn revoke(
    auth: Auth,
    caller: Caller,
    request: RevokeRegistrationTokenRequest,
) -> Result<RevokeRegistrationTokenResponse, MatrixError> {
    check_texts([request.token.as_str()])?;
    let entry = Entry::new("registration-token.revoke", fingerprint(&request.token));
    match delete(&auth, (&caller, &entry), &request.token).await {
        Ok(()) => Ok(RevokeRegistrationTokenResponse {}),
        Err(error) => Err(audit::refused(&auth, (&caller, &entry), error).await),
    }
}

async fn delete(auth: &Auth, record: (&Caller, &Entry), token: &str) -> Result<(), AuthError> {
    let mut tx = auth.db.begin().await?;
    if audit::is_done(&mut tx, record.0, record.1).await? {
        return Ok(());
    }
    if !store::delete_token(&mut tx, token).await? {
        return Err(AuthError::UnknownRegistrationToken);
    }
    audit::commit(auth, tx, record, Outbox::default()).await?;
    Ok(())
}

/// Tells tokens apart without giving them away.
fn fingerprint(token: &str) -> String {
    let hash = to_hex(&Sha256::digest(token.as_bytes()));
    format!("sha256:{}", &hash[..FINGERPRINT])
}

fn to_message(row: RegistrationToken) -> Message {
    Message {
        token: row.token,
        uses_allowed: row.uses_allowed,
        completed: row.completed,
        expires_ts: row.expires_ts,
        grants_admin: row.grants_admin,
        created_ts: row.created_ts,
    }
}
