//! The answers of the first client API, from before `/sync`, made of what `/sync` answers. For clients that know nothing else,
//! so it costs a parse of every answer.
//! <https://matrix.org/docs/older/migrating-from-client-server-api-v-1/>

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use matrixon_http::UserAuth;
use serde_json::{Map, Value, json};

use crate::{
    error::SyncError, filter::SyncFilter, live::memory::Memory, poll, state::Shared, store, streams::Ask, token::Token,
};

/// What a request of the event stream asks for.
pub(crate) struct Stream<'a> {
    /// None: from now on.
    pub(crate) from: Option<Token>,
    pub(crate) timeout: Duration,
    /// None: all rooms of the user, and what belongs to no room.
    pub(crate) room_id: Option<&'a str>,
}

/// The answer of `/events`: what is new, as one list, each event of a room with its `room_id`.
///
/// At most the newest hundred events of each room. To-device messages are left to `/sync`, which acknowledges them.
pub(crate) async fn events(shared: &Shared, auth: &UserAuth, wanted: Stream<'_>) -> Result<Value, SyncError> {
    let from = if let Some(from) = wanted.from {
        from
    } else {
        shared.live.refresh().await?;
        shared.live.read(Memory::heads)
    };
    let filter = SyncFilter::for_rooms(wanted.room_id, SyncFilter::MOST_EVENTS, false);
    let body = sync(shared, auth, filter, Some(from), wanted.timeout).await?;
    let mut chunk = Vec::new();
    for of_section in ["join", "leave"] {
        for (room_id, room) in members(&body["rooms"][of_section]) {
            for part in ["timeline", "ephemeral", "account_data"] {
                chunk.extend(list(&room[part]["events"]).iter().map(|event| in_room(event, room_id)));
            }
        }
    }
    chunk.extend(invitations(shared, auth, &body).await?.into_values());
    if wanted.room_id.is_none() {
        chunk.extend(list(&body["presence"]["events"]).iter().cloned());
        chunk.extend(list(&body["account_data"]["events"]).iter().cloned());
    }
    Ok(json!({ "start": from.to_string(), "end": body["next_batch"], "chunk": chunk }))
}

/// The answer of `/initialSync`: all rooms with their state and newest `limit` events; with `archived`, left ones too.
pub(crate) async fn initial(
    shared: &Shared,
    auth: &UserAuth,
    limit: usize,
    archived: bool,
) -> Result<Value, SyncError> {
    let body = sync(shared, auth, SyncFilter::for_rooms(None, limit, archived), None, Duration::ZERO).await?;
    let published = published(shared, &body).await?;
    let mut rooms: Vec<Value> = members(&body["rooms"]["join"])
        .map(|entry| room(entry, ("join", &body["next_batch"]), limit, &published))
        .collect();
    for (room_id, invite) in invitations(shared, auth, &body).await? {
        rooms.push(json!({ "room_id": room_id, "membership": "invite", "inviter": invite["sender"],
                           "visibility": visibility(&room_id, &published), "invite": invite }));
    }
    rooms.extend(
        members(&body["rooms"]["leave"])
            .map(|entry| room(entry, (left_by(auth, entry.1), &body["next_batch"]), limit, &published)),
    );
    // push rules were something of their own then
    let account_data = list(&body["account_data"]["events"]).iter().filter(|event| event["type"] != "m.push_rules");
    let receipts: Vec<Value> =
        members(&body["rooms"]["join"]).flat_map(|(room_id, room)| receipts(room_id, room)).collect();
    Ok(json!({
        "end": body["next_batch"],
        "rooms": rooms,
        "presence": list(&body["presence"]["events"]),
        "receipts": receipts,
        "account_data": account_data.collect::<Vec<_>>(),
    }))
}

/// The answer of `/rooms/{roomId}/initialSync`. `M_FORBIDDEN` ← neither in the room nor having left it
pub(crate) async fn initial_of_room(
    shared: &Shared,
    auth: &UserAuth,
    room_id: &str,
    limit: usize,
) -> Result<Value, SyncError> {
    let filter = SyncFilter::for_rooms(Some(room_id), limit, true);
    let body = sync(shared, auth, filter, None, Duration::ZERO).await?;
    let (joined, left) = (&body["rooms"]["join"][room_id], &body["rooms"]["leave"][room_id]);
    let (found, membership) = if joined.is_object() { (joined, "join") } else { (left, left_by(auth, left)) };
    if !found.is_object() {
        return Err(SyncError::Forbidden("you are not in this room"));
    }
    let published = published(shared, &body).await?;
    let mut answer = room((room_id, found), (membership, &body["next_batch"]), limit, &published);
    answer["presence"] = Value::Array(list(&body["presence"]["events"]).to_vec());
    answer["receipts"] = receipts(room_id, found).collect();
    Ok(answer)
}

async fn sync(
    shared: &Shared,
    auth: &UserAuth,
    filter: SyncFilter,
    since: Option<Token>,
    timeout: Duration,
) -> Result<Value, SyncError> {
    let ask = Ask {
        user_id: auth.user_id.as_str().into(),
        device_id: auth.device_id.as_str().into(),
        // no inbox: nothing is taken from it, and nothing acknowledged
        device: 0,
        filter: Arc::new(filter),
        since,
        full_state: false,
        state_after: since.is_none(),
    };
    let body = poll::sync(shared, ask, timeout).await?;
    serde_json::from_slice(&body).map_err(|error| {
        tracing::error!(%error, "an answer of /sync cannot be read");
        SyncError::Unavailable
    })
}

/// Those of the answer's rooms that are in the room directory.
async fn published(shared: &Shared, body: &Value) -> Result<HashSet<String>, SyncError> {
    let of_section = |section: &str| members(&body["rooms"][section]).map(|(room_id, _)| room_id.to_owned());
    let room_ids: Vec<String> = ["join", "invite", "leave"].into_iter().flat_map(of_section).collect();
    Ok(store::rooms::list_published(&shared.db, &room_ids).await?)
}

fn room(
    (room_id, room): (&str, &Value),
    (membership, end): (&str, &Value),
    limit: usize,
    published: &HashSet<String>,
) -> Value {
    let timeline = list(&room["timeline"]["events"]);
    let newest = &timeline[timeline.len().saturating_sub(limit)..];
    let mut messages =
        json!({ "end": end, "chunk": newest.iter().map(|event| in_room(event, room_id)).collect::<Vec<_>>() });
    // none are wanted: going back begins at the end
    let start = if newest.len() < timeline.len() { Some(end) } else { room["timeline"].get("prev_batch") };
    if let Some(start) = start {
        messages["start"] = start.clone();
    }
    let state = list(&room.get("state_after").unwrap_or(&room["state"])["events"]);
    json!({
        "room_id": room_id,
        "membership": membership,
        "messages": messages,
        "state": state.iter().map(|event| in_room(event, room_id)).collect::<Vec<_>>(),
        "visibility": visibility(room_id, published),
        "account_data": list(&room["account_data"]["events"]),
    })
}

/// `leave` or `ban`, as the room's state says.
fn left_by(auth: &UserAuth, room: &Value) -> &'static str {
    let mut events =
        ["state_after", "state", "timeline"].into_iter().flat_map(|section| list(&room[section]["events"]));
    let banned = |event: &Value| is_member(auth, event) && event["content"]["membership"] == "ban";
    if events.any(banned) { "ban" } else { "leave" }
}

fn is_member(auth: &UserAuth, event: &Value) -> bool {
    event["type"] == "m.room.member" && event["state_key"] == auth.user_id.as_str()
}

/// The events that invite the user to rooms of the answer.
async fn invitations(shared: &Shared, auth: &UserAuth, body: &Value) -> Result<BTreeMap<String, Value>, SyncError> {
    let room_ids: Vec<String> = members(&body["rooms"]["invite"]).map(|(room_id, _)| room_id.to_owned()).collect();
    let events = store::rooms::load_own_members(&shared.db, auth.user_id.as_str(), &room_ids).await?;
    let read = |(room_id, json): (String, String)| {
        let event: Value = serde_json::from_str(&json).ok()?;
        let event = in_room(&event, &room_id);
        Some((room_id, event))
    };
    Ok(events.into_iter().filter_map(read).collect())
}

fn receipts<'a>(room_id: &'a str, room: &'a Value) -> impl Iterator<Item = Value> + 'a {
    let events = list(&room["ephemeral"]["events"]).iter().filter(|event| event["type"] == "m.receipt");
    events.map(move |event| in_room(event, room_id))
}

fn visibility(room_id: &str, published: &HashSet<String>) -> &'static str {
    if published.contains(room_id) { "public" } else { "private" }
}

fn in_room(event: &Value, room_id: &str) -> Value {
    let mut event = event.clone();
    event["room_id"] = room_id.into();
    event
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter).map(|(name, value)| (name.as_str(), value))
}
