//! Versions of a user's backup. The newest that is not deleted is the current one, to which keys are added.

use ruma::UserId;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use crate::{
    error::AuthError,
    state::Auth,
    store::{
        backup_versions::{self, VersionRow},
        cross_signing::lock_account,
    },
};

const MAX_ALGORITHM_BYTES: usize = 255;
const MAX_AUTH_DATA_BYTES: usize = 64 * 1024;
/// Deleted ones do not count.
const MAX_VERSION_DIGITS: usize = 18;

/// The body with which a version is made or changed.
#[derive(Debug, Deserialize)]
pub(crate) struct VersionInfo {
    algorithm: String,
    auth_data: Box<RawValue>,
    #[serde(default)]
    version: Option<String>,
}

impl VersionInfo {
    /// `M_BAD_JSON` ← a member is missing or of a wrong type · `M_TOO_LARGE` ← see the limits
    pub(crate) fn parse(json: &str) -> Result<Self, AuthError> {
        let info: Self = serde_json::from_str(json).map_err(|error| AuthError::BadJson(error.to_string()))?;
        if info.algorithm.len() > MAX_ALGORITHM_BYTES || info.auth_data.get().len() > MAX_AUTH_DATA_BYTES {
            return Err(AuthError::TooLarge("an algorithm has at most 255 bytes, its auth_data 64 KiB"));
        }
        Ok(info)
    }
}

/// A version as clients see it.
pub(crate) fn to_json(row: &VersionRow) -> Result<Value, AuthError> {
    let auth_data: Value = serde_json::from_str(&row.auth_data)
        .map_err(|error| AuthError::Internal(format!("auth_data of a backup: {error}")))?;
    Ok(json!({ "algorithm": row.algorithm, "auth_data": auth_data, "count": row.count, "etag": row.etag.to_string(),
               "version": row.version.to_string() }))
}

/// What is not one of our numbers names no version.
fn parse(version: &str) -> Option<i64> {
    let digits = !version.is_empty() && version.len() <= MAX_VERSION_DIGITS;
    let digits = digits && version.bytes().all(|byte| byte.is_ascii_digit());
    if digits { version.parse().ok() } else { None }
}

/// `M_NOT_FOUND` ← there is no such version
pub(crate) async fn get(auth: &Auth, user_id: &UserId, version: &str) -> Result<VersionRow, AuthError> {
    let found = match parse(version) {
        None => None,
        Some(version) => backup_versions::find(&auth.db, user_id.as_str(), version).await?,
    };
    found.ok_or(AuthError::NotFound("there is no such backup"))
}

/// `M_NOT_FOUND` ← there is no backup
pub(crate) async fn get_current(auth: &Auth, user_id: &UserId) -> Result<VersionRow, AuthError> {
    let found = backup_versions::find_current(&auth.db, user_id.as_str()).await?;
    found.ok_or(AuthError::NotFound("there is no backup"))
}

/// The number of a new version; a retry gets that of the first attempt.
pub(crate) async fn create(
    auth: &Auth,
    user_id: &UserId,
    info: &VersionInfo,
    idempotency_key: &str,
) -> Result<i64, AuthError> {
    let mut tx = auth.db.begin().await?;
    let account = lock_account(&mut tx, user_id.as_str()).await?;
    let account = account.ok_or_else(|| AuthError::UnknownUser(user_id.to_string()))?;
    if !idempotency_key.is_empty()
        && let Some(version) = backup_versions::find_created_by(&mut tx, account, idempotency_key).await?
    {
        return Ok(version);
    }
    let (_, newest) = backup_versions::newest(&mut tx, account).await?;
    let version = newest + 1;
    let row = (info.algorithm.as_str(), info.auth_data.get());
    backup_versions::insert(&mut tx, (account, version), row, idempotency_key, auth.clock.now_ms()).await?;
    tx.commit().await?;
    Ok(version)
}

/// Other `auth_data` for the same algorithm.
///
/// `M_NOT_FOUND` ← there is no such version · `M_INVALID_PARAM` ← another algorithm, or the body names another version
pub(crate) async fn update(auth: &Auth, user_id: &UserId, version: &str, info: &VersionInfo) -> Result<(), AuthError> {
    let found = get(auth, user_id, version).await?;
    if info.version.as_ref().is_some_and(|named| named != version) {
        return Err(AuthError::InvalidParam("the body names another version than the path".to_owned()));
    }
    if info.algorithm != found.algorithm {
        return Err(AuthError::InvalidParam("the algorithm of a backup cannot be changed".to_owned()));
    }
    let mut tx = auth.db.begin().await?;
    let row = backup_versions::lock(&mut tx, found.account, found.version).await?;
    let row = row.ok_or(AuthError::NotFound("there is no such backup"))?;
    backup_versions::update_auth_data(&mut tx, &row, info.auth_data.get()).await?;
    Ok(tx.commit().await?)
}

/// Deletes a version; its keys go in the background. One that is deleted already may be deleted again.
///
/// `M_NOT_FOUND` ← there never was such a version
pub(crate) async fn delete(auth: &Auth, user_id: &UserId, version: &str) -> Result<(), AuthError> {
    let unknown = || AuthError::NotFound("there is no such backup");
    let number = parse(version).ok_or_else(unknown)?;
    let mut tx = auth.db.begin().await?;
    let account = lock_account(&mut tx, user_id.as_str()).await?.ok_or_else(unknown)?;
    if backup_versions::lock(&mut tx, account, number).await?.is_some() {
        backup_versions::mark_deleted(&mut tx, account, number).await?;
        return Ok(tx.commit().await?);
    }
    let (_, newest) = backup_versions::newest(&mut tx, account).await?;
    if number == 0 || number > newest { Err(unknown()) } else { Ok(()) }
}
