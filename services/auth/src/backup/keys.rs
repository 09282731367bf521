//! The keys of a backup: added in many short transactions, read and deleted in pages.

use std::collections::BTreeMap;

use ruma::{OwnedRoomId, UserId, api::client::backup::RoomKeyBackup};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub(crate) use super::answer::{Pages, write_key};
use super::versions;
use crate::{
    error::AuthError,
    state::Auth,
    store::{
        backup_keys::{self, KeyRow, Selection},
        backup_versions::{self, VersionRow},
    },
};

/// Keys of one transaction, and their size.
const CHUNK: usize = 500;
const CHUNK_BYTES: usize = 4 << 20;
const DELETE_CHUNK: i64 = 5_000;
/// Ids are parts of an index.
const MAX_ID_BYTES: usize = 255;
const MAX_SESSION_BYTES: usize = 64 * 1024;

/// What clients compare to see whether somebody else has changed the backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub etag: i64,
    pub count: i64,
}

/// A key as clients send it. The data itself is theirs.
#[derive(Deserialize)]
struct SessionBackup<'a> {
    first_message_index: u32,
    forwarded_count: u32,
    is_verified: bool,
    #[serde(borrow)]
    session_data: &'a RawValue,
}

/// A key on its way to the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct NewKey<'a> {
    room_id: &'a str,
    session_id: &'a str,
    first_message_index: u32,
    forwarded_count: u32,
    is_verified: bool,
    session_data: &'a str,
}

/// Adds keys to the current version; of two copies of a session the better one stays.
///
/// `M_NOT_FOUND` ← there is no such version · `M_WRONG_ROOM_KEYS_VERSION` ← it is not the current one ·
/// `M_BAD_JSON` ← a key lacks a member · `M_INVALID_PARAM`, `M_TOO_LARGE` ← an id or a key is too long
pub(crate) async fn add(
    auth: &Auth,
    user_id: &UserId,
    version: &str,
    rooms: &BTreeMap<OwnedRoomId, RoomKeyBackup>,
) -> Result<State, AuthError> {
    let row = get_current(auth, user_id, version).await?;
    let mut keys = Vec::new();
    for (room_id, room) in rooms {
        for (session_id, json) in &room.sessions {
            keys.push(check_key(room_id.as_str(), session_id, json.json().get())?);
        }
    }
    let mut state = State { etag: row.etag, count: row.count };
    let mut rest = keys.as_slice();
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(chunk_len(rest));
        state = add_chunk(auth, user_id, &row, chunk).await?;
        rest = after;
    }
    Ok(state)
}

fn check_key<'a>(room_id: &'a str, session_id: &'a str, json: &'a str) -> Result<NewKey<'a>, AuthError> {
    if room_id.len() > MAX_ID_BYTES || session_id.len() > MAX_ID_BYTES || session_id.is_empty() {
        return Err(AuthError::InvalidParam("ids of rooms and sessions have 1 to 255 bytes".to_owned()));
    }
    if json.len() > MAX_SESSION_BYTES {
        return Err(AuthError::TooLarge("a backed-up session has at most 64 KiB"));
    }
    let key: SessionBackup<'a> =
        serde_json::from_str(json).map_err(|error| AuthError::BadJson(format!("session {session_id}: {error}")))?;
    Ok(NewKey {
        room_id,
        session_id,
        first_message_index: key.first_message_index,
        forwarded_count: key.forwarded_count,
        is_verified: key.is_verified,
        session_data: key.session_data.get(),
    })
}

/// How many of `keys` go together; at least one.
fn chunk_len(keys: &[NewKey<'_>]) -> usize {
    let mut bytes = 0;
    let fits = keys.iter().take(CHUNK).take_while(|key| {
        bytes += key.session_data.len();
        bytes <= CHUNK_BYTES
    });
    fits.count().max(1)
}

async fn add_chunk(
    auth: &Auth,
    user_id: &UserId,
    version: &VersionRow,
    keys: &[NewKey<'_>],
) -> Result<State, AuthError> {
    let list =
        serde_json::to_string(keys).map_err(|error| AuthError::Internal(format!("keys of a backup: {error}")))?;
    let mut tx = auth.db.begin().await?;
    let row = backup_versions::lock(&mut tx, version.account, version.version).await?;
    // it may have been deleted, or replaced, since the first chunk
    let (newest, _) = backup_versions::newest(&mut tx, version.account).await?;
    let Some(row) = row.filter(|row| newest == Some(row.version)) else {
        drop(tx);
        return Err(wrong_version(auth, user_id).await?);
    };
    let inserted = backup_keys::insert_new(&mut tx, &row, &list).await?;
    let mut replaced = 0;
    if inserted < keys.len() as u64 {
        replaced = backup_keys::replace_worse(&mut tx, &row, &list).await?;
    }
    if inserted + replaced == 0 {
        return Ok(State { etag: row.etag, count: row.count });
    }
    let (etag, count) = backup_versions::touch(&mut tx, &row, inserted as i64).await?;
    tx.commit().await?;
    Ok(State { etag, count })
}

/// `M_NOT_FOUND` ← there is no backup at all · `M_WRONG_ROOM_KEYS_VERSION` ← this is not the current version
async fn get_current(auth: &Auth, user_id: &UserId, version: &str) -> Result<VersionRow, AuthError> {
    let current = versions::get_current(auth, user_id).await?;
    if current.version.to_string() == version {
        return Ok(current);
    }
    Err(AuthError::WrongRoomKeysVersion { current: current.version.to_string() })
}

async fn wrong_version(auth: &Auth, user_id: &UserId) -> Result<AuthError, AuthError> {
    let current = versions::get_current(auth, user_id).await?;
    Ok(AuthError::WrongRoomKeysVersion { current: current.version.to_string() })
}

/// `M_NOT_FOUND` ← there is no such version or key
pub(crate) async fn get(
    auth: &Auth,
    user_id: &UserId,
    version: &str,
    (room_id, session_id): (&str, &str),
) -> Result<KeyRow, AuthError> {
    let row = versions::get(auth, user_id, version).await?;
    let found = backup_keys::find(&auth.db, &row, room_id, session_id).await?;
    found.ok_or(AuthError::NotFound("there is no such session in the backup"))
}

/// The keys of a version, or of one room in it, to be read in pages.
///
/// `M_NOT_FOUND` ← there is no such version
pub(crate) async fn list(
    auth: &Auth,
    user_id: &UserId,
    version: &str,
    room_id: Option<&str>,
) -> Result<Pages, AuthError> {
    let row = versions::get(auth, user_id, version).await?;
    Ok(Pages::new(auth.clone(), row, room_id))
}

/// Deletes keys of any version; what is not there need not be deleted.
///
/// `M_NOT_FOUND` ← there is no such version
pub(crate) async fn delete(
    auth: &Auth,
    user_id: &UserId,
    version: &str,
    selection: Selection<'_>,
) -> Result<State, AuthError> {
    let row = versions::get(auth, user_id, version).await?;
    loop {
        let mut tx = auth.db.begin().await?;
        let locked = backup_versions::lock(&mut tx, row.account, row.version).await?;
        let locked = locked.ok_or(AuthError::NotFound("there is no such backup"))?;
        let deleted = backup_keys::delete(&mut tx, &locked, selection, DELETE_CHUNK).await?;
        if deleted == 0 {
            return Ok(State { etag: locked.etag, count: locked.count });
        }
        let (etag, count) = backup_versions::touch(&mut tx, &locked, -(deleted as i64)).await?;
        tx.commit().await?;
        if deleted < DELETE_CHUNK as u64 {
            return Ok(State { etag, count });
        }
    }
}
