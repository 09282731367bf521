//! Setting and reading account data.

use bytes::Bytes;
use matrixon_rooms::rooms;
use ruma::RoomId;

use crate::{
    error::SyncError,
    live::items::AccountData,
    response::{PUSH_RULES, default_push_rules},
    state::Shared,
    store,
};

pub(crate) const FULLY_READ: &str = "m.fully_read";
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
    let item = AccountData {
        position: 0,
        user_id: user_id.into(),
        room_id: room_id.into(),
        data_type: data_type.into(),
        content,
    };
    shared.account_data.append(item).await?;
    Ok(())
}
