//! Creating rooms: all events of a new room are one append.

mod content;
mod events;

use matrixon_http::{RequestMeta, UserAuth};
use matrixon_matrix::{EventContext, NewEvent, RoomVersion};
use matrixon_rooms::HistoryVisibility;
use matrixon_store::{StoreError, streams::AppendError};
use ruma::{
    OwnedRoomId, RoomAliasId, RoomId,
    api::client::room::{
        Visibility,
        create_room::v3::{Request, RoomPreset},
    },
};

use crate::{
    error::RoomError,
    head::{self, Head, Planned},
    service::Room,
    store::{
        append::{Append, Dedupe, EventWrite, NewRoom, Refusal, Target},
        requests,
    },
    timeline::{append::append_error, send::dedupe_by_request},
};

/// Clashes of room ids that are tried again with another time.
const MAX_ATTEMPTS: usize = 5;

/// What the room shall be, checked.
struct Plan {
    version: RoomVersion,
    create: NewEvent,
    /// Everything after the create event.
    events: Vec<NewEvent>,
    alias: Option<String>,
    published: bool,
}

/// `M_UNSUPPORTED_ROOM_VERSION`, `M_ROOM_IN_USE` ← the alias is taken, `M_INVALID_ROOM_STATE` ← the rules reject what the
/// request implies, `M_BAD_JSON`, `M_INVALID_PARAM`
pub(crate) async fn create_room(
    room: &Room,
    auth: &UserAuth,
    meta: &RequestMeta,
    request: Request,
) -> Result<OwnedRoomId, RoomError> {
    let dedupe = dedupe_by_request(auth, meta);
    let plan = build_plan(room, auth, request).await?;
    for _ in 0..MAX_ATTEMPTS {
        if let Dedupe::Key(key) = &dedupe
            && let Some(room_id) = requests::find_room(&room.db, key).await?
        {
            return parse_room_id(&room_id);
        }
        let (head, events) = compute(room, &plan)?;
        let append = into_append(room, &plan, &head, events, dedupe.clone());
        match room.appender.append(append).await {
            Ok(committed) => {
                return Ok(remember(room, head, committed.room, committed.events.last().map(|e| e.state_after)));
            }
            Err(AppendError::Refused(Refusal::Duplicate(room_id))) => return parse_room_id(&room_id),
            Err(AppendError::Store(error)) if is_clash(&error, "room_aliases") => return Err(RoomError::AliasInUse),
            // the same request on another replica, or the same room id: look again
            Err(AppendError::Store(error)) if is_clash(&error, "") => {}
            Err(AppendError::Refused(Refusal::Conflict)) => {}
            Err(error) => return Err(append_error(error)),
        }
    }
    Err(RoomError::Busy)
}

fn is_clash(error: &StoreError, table: &str) -> bool {
    matches!(error, StoreError::UniqueViolation { constraint } if constraint.contains(table))
}

fn parse_room_id(room_id: &str) -> Result<OwnedRoomId, RoomError> {
    RoomId::parse(room_id).map_err(|error| StoreError::inconsistent("rooms", error.to_string()).into())
}

/// The next event will be sent into the room soon.
fn remember(room: &Room, mut head: Head, number: i64, snapshot: Option<i64>) -> OwnedRoomId {
    let room_id = head.room_id.clone();
    if let Some(snapshot) = snapshot {
        head.adopt(number, snapshot);
        room.heads.insert(head);
    }
    room_id
}

/// `M_INVALID_PARAM` ← a preset or visibility that the specification does not name
fn check_words(request: &Request) -> Result<(), RoomError> {
    use RoomPreset::{PrivateChat, PublicChat, TrustedPrivateChat};
    if !matches!(request.preset, None | Some(PrivateChat | PublicChat | TrustedPrivateChat)) {
        return Err(RoomError::InvalidParam(
            "`preset` must be private_chat, public_chat or trusted_private_chat".to_owned(),
        ));
    }
    if !matches!(request.visibility, Visibility::Public | Visibility::Private) {
        return Err(RoomError::InvalidParam("`visibility` must be public or private".to_owned()));
    }
    Ok(())
}

async fn build_plan(room: &Room, auth: &UserAuth, request: Request) -> Result<Plan, RoomError> {
    if !request.invite_3pid.is_empty() {
        return Err(RoomError::ThirdPartyInvite);
    }
    check_words(&request)?;
    let wanted =
        request.room_version.as_ref().map_or(room.config.default_room_version.as_str(), |version| version.as_str());
    let version = RoomVersion::find(wanted).ok_or_else(|| RoomError::UnsupportedVersion(wanted.to_owned()))?;
    let alias = request.room_alias_name.as_deref().map(|name| local_alias(room, name)).transpose()?;
    let published = request.visibility == Visibility::Public;
    let create = content::create_event(auth, version, &request)?;
    let events = events::after_create(room, auth, version, &create, alias.as_deref(), request).await?;
    Ok(Plan { version, create, events, alias, published })
}

/// `M_INVALID_PARAM` ← not the local part of an alias
fn local_alias(room: &Room, name: &str) -> Result<String, RoomError> {
    let alias = format!("#{name}:{}", room.signer.server_name);
    let invalid = || RoomError::InvalidParam("`room_alias_name` is not the local part of a room alias".to_owned());
    if name.is_empty() || name.contains([':', '\0', '#']) || name.chars().any(char::is_whitespace) {
        return Err(invalid());
    }
    RoomAliasId::parse(alias.as_str()).map(|_| alias).map_err(|_| invalid())
}

fn compute(room: &Room, plan: &Plan) -> Result<(Head, Vec<EventWrite>), RoomError> {
    let now_ms = room.creation_ms();
    let new_id = (!plan.version.room_id_is_create_hash()).then(|| RoomId::new_v1(&room.signer.server_name));
    let created = room.signer.build(
        plan.create.clone(),
        EventContext {
            version: plan.version,
            room_id: new_id.as_deref(),
            prev_events: &[],
            auth_events: Vec::new(),
            depth: 1,
            origin_server_ts: now_ms,
        },
    )?;
    let mut head = Head::of_new_room(plan.version, &created);
    let mut events = vec![head::to_write(Planned { built: created, visibility: HistoryVisibility::Shared }, None)];
    for event in &plan.events {
        let planned = head::plan(&mut head, event, &room.signer, now_ms).map_err(as_room_state)?;
        head.apply(&planned.built);
        events.push(head::to_write(planned, None));
    }
    Ok((head, events))
}

/// Rejected by the rules: the request asked for a room that cannot be.
fn as_room_state(error: RoomError) -> RoomError {
    match error {
        RoomError::Forbidden(problem) => RoomError::InvalidRoomState(problem),
        error => error,
    }
}

fn into_append(room: &Room, plan: &Plan, head: &Head, events: Vec<EventWrite>, dedupe: Dedupe) -> Append {
    let alias = plan.alias.clone().map(|alias| (alias, plan.create.sender.to_string()));
    Append {
        target: Target::New(NewRoom { room_version: plan.version.as_str(), published: plan.published, alias }),
        room_id: head.room_id.clone(),
        events,
        extremities: serde_json::json!(head.extremities).to_string(),
        depth: head.depth,
        dedupe,
        now_ms: room.clock.now_ms(),
    }
}
