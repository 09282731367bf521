//! Setting and reading account data, tags among it.

use bytes::Bytes;
use matrixon_rooms::rooms;
use ruma::RoomId;
use serde_json::{Map, Value};

use crate::{
    error::SyncError,
    response::{PUSH_RULES, default_push_rules},
    state::Shared,
    store::{
        self,
        account_data::{Change, NewAccountData},
    },
};

pub(crate) const FULLY_READ: &str = "m.fully_read";
const TAGS: &str = "m.tag";
/// The specification's limit. <https://spec.matrix.org/v1.19/client-server-api/#room-tagging>
const MAX_TAG_BYTES: usize = 255;
const MAX_TAGS_BYTES: usize = 64 * 1024;
/// As for ids: indexes have room for no more.
const MAX_TYPE_BYTES: usize = 255;

pub(crate) async fn get(shared: &Shared, user_id: &str, room_id: &str, data_type: &str) -> Result<Bytes, SyncError> {
    if let Some(content) = store::account_data::find(&shared.db, user_id, room_id, data_type).await? {
        return Ok(content.into());
    }
    if room_id.is_empty() && data_type == PUSH_RULES {
        let rules = default_push_rules(user_id);
        return Ok([b"{\"global\":", &rules[..], b"}"].concat().into());
    }
    Err(SyncError::NotFound("there is no account data of this type"))
}

pub(crate) async fn set(
    shared: &Shared,
    user_id: &str,
    room_id: Option<&RoomId>,
    data_type: &str,
    content: Bytes,
) -> Result<(), SyncError> {
    if data_type == PUSH_RULES || data_type == FULLY_READ {
        return Err(SyncError::NotAllowed("this type of account data has an endpoint of its own"));
    }
    if data_type.is_empty() || data_type.len() > MAX_TYPE_BYTES {
        return Err(SyncError::InvalidParam("the type of account data has at most 255 bytes"));
    }
    if let Some(room_id) = room_id
        && rooms::find_room(&shared.db, room_id.as_str()).await?.is_none()
    {
        return Err(SyncError::NotFound("the room is unknown"));
    }
    append(shared, user_id, room_id.map_or("", RoomId::as_str), data_type, content).await
}

/// Returns when it is committed and announced.
pub(crate) async fn append(
    shared: &Shared,
    user_id: &str,
    room_id: &str,
    data_type: &str,
    content: Bytes,
) -> Result<(), SyncError> {
    let change = Change::Replace(content);
    let item = NewAccountData { user_id: user_id.into(), room_id: room_id.into(), data_type: data_type.into(), change };
    shared.account_data.append(item).await?;
    Ok(())
}

/// Sets a tag of a room, or removes it (None); the room's other tags stay, whatever happens at the same time.
/// `M_NOT_FOUND` ← the room is unknown · `M_INVALID_PARAM` ← no name of a tag · `M_TOO_LARGE` ← too many tags
pub(crate) async fn set_tag(
    shared: &Shared,
    user_id: &str,
    room_id: &RoomId,
    tag: &str,
    info: Option<Value>,
) -> Result<(), SyncError> {
    if tag.is_empty() || tag.len() > MAX_TAG_BYTES {
        return Err(SyncError::InvalidParam("the name of a tag has 1 to 255 bytes"));
    }
    if rooms::find_room(&shared.db, room_id.as_str()).await?.is_none() {
        return Err(SyncError::NotFound("the room is unknown"));
    }
    let before = store::account_data::find(&shared.db, user_id, room_id.as_str(), TAGS).await?;
    let bytes = before.map_or(0, |content| content.len());
    if info.as_ref().is_some_and(|info| bytes + info.to_string().len() > MAX_TAGS_BYTES) {
        return Err(SyncError::TooLarge("a room has no more tags than fit into 64 KiB"));
    }
    let change = Change::Tag(tag.into(), info);
    let item =
        NewAccountData { user_id: user_id.into(), room_id: room_id.as_str().into(), data_type: TAGS.into(), change };
    shared.account_data.append(item).await?;
    Ok(())
}

/// The tags of a room; `{}` where there are none.
pub(crate) async fn tags(shared: &Shared, user_id: &str, room_id: &RoomId) -> Result<Value, SyncError> {
    let content = store::account_data::find(&shared.db, user_id, room_id.as_str(), TAGS).await?;
    let mut content: Value = content.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let tags = content.get_mut("tags").map(Value::take).filter(Value::is_object);
    Ok(tags.unwrap_or_else(|| Value::Object(Map::new())))
}
