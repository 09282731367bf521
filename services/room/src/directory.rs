//! The directory of published rooms.

use matrixon_rooms::{EventRow, events::content_of, rooms, state};
use ruma::{RoomId, ServerName, UserId};
use serde_json::{Map, Value, json};

use crate::{
    error::RoomError,
    power,
    service::Room,
    store::directory::{self, PublishedRow},
};

/// Rooms in one answer at most.
const MAX_LIMIT: u64 = 100;
/// Rooms looked at for one search at most.
const MAX_SEARCHED: i64 = 1_000;

pub(crate) struct Query<'a> {
    pub(crate) limit: Option<u64>,
    pub(crate) since: Option<&'a str>,
    pub(crate) server: Option<&'a ServerName>,
    pub(crate) search: Option<&'a str>,
    pub(crate) room_types: Option<&'a Vec<Option<String>>>,
}

/// `M_NOT_FOUND` ← unknown room
pub(crate) async fn is_published(room: &Room, room_id: &RoomId) -> Result<bool, RoomError> {
    let row = rooms::find_room(&room.db, room_id.as_str()).await?.ok_or(RoomError::UnknownRoom)?;
    Ok(directory::is_published(&room.db, row.id).await?)
}

/// `M_FORBIDDEN` ← no power to set the canonical alias · `M_NOT_FOUND` ← unknown room
pub(crate) async fn publish(room: &Room, user_id: &UserId, room_id: &RoomId, published: bool) -> Result<(), RoomError> {
    let head = power::load(room, room_id, user_id).await?;
    power::check_can_set_canonical_alias(&head, user_id)?;
    Ok(directory::set_published(&room.db, head.room, published).await?)
}

/// The response of `publicRooms`. `since` and `next_batch` count rooms.
pub(crate) async fn list(room: &Room, query: Query<'_>) -> Result<bytes::Bytes, RoomError> {
    if let Some(server) = query.server.filter(|server| !room.is_local(server)) {
        return Err(RoomError::OtherServer(format!("the directory of {server} cannot be read: no federation yet")));
    }
    let offset = match query.since.filter(|token| !token.is_empty()) {
        None => 0,
        Some(token) => parse_token(token)?,
    };
    let limit = query.limit.unwrap_or(MAX_LIMIT).clamp(1, MAX_LIMIT) as usize;
    let mut chunk = Vec::new();
    let mut place = offset;
    let total = directory::count(&room.db).await?;
    while chunk.len() < limit && place < total && place - offset < MAX_SEARCHED {
        let rows = directory::list(&room.db, place, limit as i64).await?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            if chunk.len() == limit {
                break;
            }
            place += 1;
            let entry = entry(room, &row).await?;
            if matches(&entry, &query) {
                chunk.push(entry);
            }
        }
    }
    let mut response = json!({ "chunk": chunk, "total_room_count_estimate": total });
    if place < total {
        response["next_batch"] = format_token(place).into();
    }
    if offset > 0 {
        response["prev_batch"] = format_token((offset - limit as i64).max(0)).into();
    }
    Ok(response.to_string().into())
}

/// Never just `0`, which some clients take for no token at all.
fn format_token(rooms: i64) -> String {
    format!("d{rooms}")
}

/// `M_INVALID_PARAM` ← not one of ours
fn parse_token(token: &str) -> Result<i64, RoomError> {
    let rooms = token.strip_prefix('d').and_then(|rooms| rooms.parse::<u32>().ok());
    rooms.map(i64::from).ok_or_else(|| RoomError::InvalidParam("`since` is no token of this server".to_owned()))
}

fn matches(entry: &Value, query: &Query<'_>) -> bool {
    if let Some(search) = query.search.filter(|search| !search.is_empty()) {
        let search = search.to_lowercase();
        let found = ["name", "topic", "canonical_alias"]
            .iter()
            .filter_map(|member| entry[*member].as_str())
            .any(|text| text.to_lowercase().contains(&search));
        if !found {
            return false;
        }
    }
    let room_type = entry["room_type"].as_str();
    query.room_types.is_none_or(|types| types.iter().any(|wanted| wanted.as_deref() == room_type))
}

/// No members beyond the specification's: some clients break on them.
async fn entry(room: &Room, row: &PublishedRow) -> Result<Value, RoomError> {
    let state = state::load_current_without_members(&room.db, row.id).await?;
    let text = |event_type: &str, member: &str| content_string(&state, event_type, member);
    let mut entry = Map::new();
    entry.insert("room_id".to_owned(), row.room_id.as_str().into());
    entry.insert("num_joined_members".to_owned(), row.joined.into());
    let visibility = text("m.room.history_visibility", "history_visibility");
    entry.insert("world_readable".to_owned(), (visibility.as_deref() == Some("world_readable")).into());
    let guests = text("m.room.guest_access", "guest_access");
    entry.insert("guest_can_join".to_owned(), (guests.as_deref() == Some("can_join")).into());
    for (name, event_type, member) in [
        ("name", "m.room.name", "name"),
        ("topic", "m.room.topic", "topic"),
        ("canonical_alias", "m.room.canonical_alias", "alias"),
        ("avatar_url", "m.room.avatar", "url"),
        ("join_rule", "m.room.join_rules", "join_rule"),
        ("room_type", "m.room.create", "type"),
    ] {
        if let Some(value) = text(event_type, member) {
            entry.insert(name.to_owned(), value.into());
        }
    }
    Ok(Value::Object(entry))
}

fn content_string(state: &[EventRow], event_type: &str, member: &str) -> Option<String> {
    let row = state.iter().find(|row| row.event_type == event_type && row.state_key.as_deref() == Some(""))?;
    let content: Map<String, Value> = serde_json::from_str(content_of(&row.json)?).ok()?;
    content.get(member)?.as_str().map(str::to_owned)
}
