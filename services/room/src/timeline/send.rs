//! Messages and state events.

use matrixon_http::{RequestMeta, Standing, UserAuth};
use matrixon_matrix::{NewEvent, canonical, power_levels};
use matrixon_rooms::{
    events::{content_of, redaction_txn_id},
    rooms, state,
};
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, EventId, OwnedEventId, RoomAliasId, RoomId, events::StateEventType,
};

use super::{
    append::append,
    draft::{Draft, Precheck},
    redact::redact_event,
};
use crate::{
    error::RoomError,
    head::Head,
    membership::{send_away, shuts_guests_out},
    service::Room,
    store::{aliases, append::Dedupe},
};

/// Longest transaction id, bytes.
const MAX_TXN_ID_BYTES: usize = 255;

/// `M_INVALID_PARAM` ← a transaction id that is too long or has NUL
pub(crate) fn dedupe_by_txn(auth: &UserAuth, txn_id: &str) -> Result<Dedupe, RoomError> {
    if txn_id.len() > MAX_TXN_ID_BYTES || txn_id.contains('\0') {
        return Err(RoomError::InvalidParam(format!(
            "the transaction id must have at most {MAX_TXN_ID_BYTES} bytes and no NUL"
        )));
    }
    Ok(Dedupe::Txn {
        sender: auth.user_id.to_string(),
        device_id: auth.device_id.to_string(),
        txn_id: txn_id.to_owned(),
    })
}

/// The same for redactions, whose transaction ids are apart from those of messages.
pub(crate) fn dedupe_redaction(auth: &UserAuth, target: &EventId, txn_id: &str) -> Result<Dedupe, RoomError> {
    let mut dedupe = dedupe_by_txn(auth, txn_id)?;
    if let Dedupe::Txn { txn_id, .. } = &mut dedupe {
        *txn_id = redaction_txn_id(target.as_str(), txn_id);
    }
    Ok(dedupe)
}

/// Keys name requests of one user: two users never share one.
pub(crate) fn dedupe_by_request(auth: &UserAuth, meta: &RequestMeta) -> Dedupe {
    if meta.idempotency_key.is_empty() {
        return Dedupe::None;
    }
    Dedupe::Key(format!("{} {}", auth.user_id, meta.idempotency_key))
}

/// `M_FORBIDDEN` ← the rules reject · `M_BAD_JSON` ← content that is no canonical JSON · `M_TOO_LARGE` ← over 65,535 bytes
/// `M_USER_SUSPENDED` ← a suspended account, except that it may redact its own events
pub(crate) async fn send_message(
    room: &Room,
    room_id: &RoomId,
    event: NewEvent,
    dedupe: Dedupe,
    standing: Standing,
) -> Result<OwnedEventId, RoomError> {
    canonical::check_names(&event.event_type, None)?;
    if event.event_type == "m.room.redaction" {
        return redact_event(room, room_id, redaction_of(event)?, dedupe, standing).await;
    }
    if standing.suspended {
        return Err(RoomError::Suspended);
    }
    append(room, room_id, &Draft { event, dedupe, redaction: None, precheck: Precheck::None }).await
}

/// A redaction sent like any message names its target in `content.redacts`; the room's version decides where it is kept.
fn redaction_of(mut event: NewEvent) -> Result<NewEvent, RoomError> {
    let Some(CanonicalJsonValue::String(target)) = event.content.remove("redacts") else {
        return Err(RoomError::BadJson("`redacts` must be the id of the event to redact".to_owned()));
    };
    let target =
        EventId::parse(target).map_err(|_| RoomError::InvalidParam("`redacts` is not an event id".to_owned()))?;
    Ok(NewEvent { redacts: Some(target), ..event })
}

/// Besides what [`send_message`] says: `M_BAD_ALIAS` ← a canonical alias that does not lead to the room
pub(crate) async fn send_state(
    room: &Room,
    room_id: &RoomId,
    event: NewEvent,
    dedupe: Dedupe,
) -> Result<OwnedEventId, RoomError> {
    let state_key = event.state_key.as_deref().unwrap_or_default();
    canonical::check_names(&event.event_type, Some(state_key))?;
    check_state_content(&event)?;
    if event.event_type == "m.room.canonical_alias" && state_key.is_empty() {
        check_canonical_alias(room, room_id, &event.content).await?;
    }
    let shuts_guests_out = shuts_guests_out(&event);
    let draft = Draft { event, dedupe, redaction: None, precheck: Precheck::Find(find_identical) };
    let event_id = append(room, room_id, &draft).await?;
    if shuts_guests_out {
        send_away(room, room_id).await?;
    }
    Ok(event_id)
}

/// State that says what it already says is not sent again.
fn find_identical(head: &Head, event: &NewEvent) -> Option<OwnedEventId> {
    let state_key = event.state_key.as_deref().unwrap_or_default();
    let current = head.state(&StateEventType::from(event.event_type.as_str()), state_key)?;
    // what is stored is canonical JSON of ours, so equal content is equal text
    let content = serde_json::to_string(&event.content).ok()?;
    (current.sender == event.sender && current.content.get() == content).then(|| current.event_id.clone())
}

/// Content that every reader must be able to rely on.
pub(crate) fn check_state_content(event: &NewEvent) -> Result<(), RoomError> {
    let content = &event.content;
    let has_string = |member: &str| content.get(member).is_some_and(CanonicalJsonValue::is_string);
    match event.event_type.as_str() {
        "m.room.create" => Err(RoomError::Forbidden("a room has one create event, made with the room".to_owned())),
        "m.room.power_levels" => {
            power_levels::check_content(content).map_err(|error| RoomError::BadJson(error.to_string()))
        }
        "m.room.member" if !has_string("membership") => {
            Err(RoomError::BadJson("`membership` must be a string".to_owned()))
        }
        "m.room.join_rules" if !has_string("join_rule") => {
            Err(RoomError::BadJson("`join_rule` must be a string".to_owned()))
        }
        "m.room.history_visibility" if !has_string("history_visibility") => {
            Err(RoomError::BadJson("`history_visibility` must be a string".to_owned()))
        }
        "m.room.server_acl" => check_string_lists(content, &["allow", "deny"]),
        _ => Ok(()),
    }
}

fn check_string_lists(content: &CanonicalJsonObject, members: &[&str]) -> Result<(), RoomError> {
    for member in members {
        let Some(value) = content.get(*member) else { continue };
        if !value.as_array().is_some_and(|items| items.iter().all(CanonicalJsonValue::is_string)) {
            return Err(RoomError::BadJson(format!("`{member}` must be an array of strings")));
        }
    }
    Ok(())
}

/// Every alias that the event adds to the present one must lead to the room.
async fn check_canonical_alias(room: &Room, room_id: &RoomId, content: &CanonicalJsonObject) -> Result<(), RoomError> {
    check_string_lists(content, &["alt_aliases"])?;
    if content.get("alias").is_some_and(|alias| !alias.is_string() && *alias != CanonicalJsonValue::Null) {
        return Err(RoomError::BadJson("`alias` must be a string".to_owned()));
    }
    let present = present_aliases(room, room_id).await?;
    for alias in aliases_of(content) {
        if present.contains(&alias) {
            continue;
        }
        let parsed = RoomAliasId::parse(alias.as_str())
            .map_err(|_| RoomError::InvalidParam(format!("`{alias}` is not a room alias")))?;
        let found = if room.is_local(parsed.server_name()) { aliases::find(&room.db, &alias).await? } else { None };
        if found.is_none_or(|row| row.room_id != room_id.as_str()) {
            return Err(RoomError::BadAlias(format!("{alias} does not lead to this room")));
        }
    }
    Ok(())
}

fn aliases_of(content: &CanonicalJsonObject) -> Vec<String> {
    let mut named: Vec<String> =
        content.get("alias").and_then(|value| value.as_str()).map(str::to_owned).into_iter().collect();
    if let Some(others) = content.get("alt_aliases").and_then(CanonicalJsonValue::as_array) {
        named.extend(others.iter().filter_map(CanonicalJsonValue::as_str).map(str::to_owned));
    }
    named
}

async fn present_aliases(room: &Room, room_id: &RoomId) -> Result<Vec<String>, RoomError> {
    let row = rooms::find_room(&room.db, room_id.as_str()).await?.ok_or(RoomError::UnknownRoom)?;
    let event = state::find_current(&room.db, row.id, "m.room.canonical_alias", "").await?;
    let content = event.as_ref().and_then(|event| content_of(&event.json));
    Ok(content
        .and_then(|json| canonical::parse_content(json.as_bytes()).ok())
        .as_ref()
        .map(aliases_of)
        .unwrap_or_default())
}
