//! Local aliases of rooms.

use ruma::{RoomAliasId, RoomId, UserId};

use crate::{
    error::RoomError,
    membership::Requester,
    power,
    service::Room,
    store::{aliases, append::Dedupe},
    timeline::send::dedupe_by_request,
};

fn check_alias(room: &Room, alias: &RoomAliasId) -> Result<(), RoomError> {
    if !room.is_local(alias.server_name()) {
        return Err(RoomError::InvalidParam(format!("{alias} is an alias of another server")));
    }
    Ok(())
}

/// `M_UNKNOWN` (409) ← taken · `M_FORBIDDEN` ← not in the room · `M_NOT_FOUND` ← unknown room
pub(crate) async fn create(
    room: &Room,
    requester: Requester<'_>,
    alias: &RoomAliasId,
    room_id: &RoomId,
) -> Result<(), RoomError> {
    check_alias(room, alias)?;
    let user_id = &*requester.auth.user_id;
    let dedupe = dedupe_by_request(requester.auth, requester.meta);
    let head = power::load(room, room_id, user_id).await?;
    if head.membership(user_id) != "join" {
        return Err(RoomError::Forbidden("only members give a room an alias".to_owned()));
    }
    let key = match &dedupe {
        Dedupe::Key(key) => Some(key.as_str()),
        Dedupe::None | Dedupe::Txn { .. } => None,
    };
    if aliases::insert(&room.db, alias.as_str(), head.room, user_id.as_str(), key).await? {
        return Ok(());
    }
    match aliases::find(&room.db, alias.as_str()).await? {
        // the same request again
        Some(known) if known.room == head.room && key.is_some() && known.idempotency_key.as_deref() == key => Ok(()),
        _ => Err(RoomError::AliasTaken),
    }
}

/// `M_NOT_FOUND` ← no such alias · `M_FORBIDDEN` ← neither its maker nor the power to set the canonical alias
pub(crate) async fn delete(room: &Room, user_id: &UserId, alias: &RoomAliasId) -> Result<(), RoomError> {
    let not_found = || RoomError::NotFound(format!("there is no room alias {alias} here"));
    let known = aliases::find(&room.db, alias.as_str()).await?.ok_or_else(not_found)?;
    if known.creator != user_id.as_str() {
        let room_id = RoomId::parse(known.room_id).map_err(|error| RoomError::Internal(error.to_string()))?;
        let head = power::load(room, &room_id, user_id).await?;
        power::check_can_set_canonical_alias(&head, user_id)?;
    }
    if aliases::delete(&room.db, alias.as_str()).await? { Ok(()) } else { Err(not_found()) }
}
