//! Local aliases of rooms.

use matrixon_matrix::{NewEvent, canonical};
use matrixon_rooms::{events::content_of, state};
use ruma::{CanonicalJsonValue, RoomAliasId, RoomId, UserId};

use crate::{
    error::RoomError,
    membership::Requester,
    power,
    service::Room,
    store::{aliases, append::Dedupe},
    timeline::send::{dedupe_by_request, send_state},
};

const CANONICAL: &str = "m.room.canonical_alias";

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

/// The canonical alias of its room goes as well, if the user has the power to change that.
/// `M_NOT_FOUND` ← no such alias · `M_FORBIDDEN` ← neither its maker nor the power to set the canonical alias
pub(crate) async fn delete(room: &Room, user_id: &UserId, alias: &RoomAliasId) -> Result<(), RoomError> {
    let not_found = || RoomError::NotFound(format!("there is no room alias {alias} here"));
    let known = aliases::find(&room.db, alias.as_str()).await?.ok_or_else(not_found)?;
    let room_id = RoomId::parse(&known.room_id).map_err(|error| RoomError::Internal(error.to_string()))?;
    let head = power::load(room, &room_id, user_id).await?;
    let power = power::check_can_set_canonical_alias(&head, user_id);
    let has_power = power.is_ok();
    if known.creator != user_id.as_str() {
        power?;
    }
    if !aliases::delete(&room.db, alias.as_str()).await? {
        return Err(not_found());
    }
    // the alias is gone whatever becomes of the event, which the specification leaves to servers
    if has_power && let Err(error) = forget_canonical(room, user_id, alias, &room_id, known.room).await {
        tracing::warn!(%error, "a deleted alias is still the canonical alias of its room");
    }
    Ok(())
}

/// Sends `m.room.canonical_alias` without this alias, where it has it.
async fn forget_canonical(
    room: &Room,
    user_id: &UserId,
    alias: &RoomAliasId,
    room_id: &RoomId,
    number: i64,
) -> Result<(), RoomError> {
    let Some(present) = state::find_current(&room.db, number, CANONICAL, "").await? else { return Ok(()) };
    let content = content_of(&present.json).and_then(|json| canonical::parse_content(json.as_bytes()).ok());
    let Some(mut content) = content else { return Ok(()) };
    let before = content.clone();
    let is_it = |value: &CanonicalJsonValue| value.as_str() == Some(alias.as_str());
    if content.get("alias").is_some_and(is_it) {
        content.remove("alias");
    }
    if let Some(CanonicalJsonValue::Array(others)) = content.get_mut("alt_aliases") {
        others.retain(|other| !is_it(other));
        if others.is_empty() {
            content.remove("alt_aliases");
        }
    }
    if content == before {
        return Ok(());
    }
    let event = NewEvent::state(user_id.to_owned(), CANONICAL, "", content);
    send_state(room, room_id, event, Dedupe::None).await.map(drop)
}
