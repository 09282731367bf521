//! What follows the create event, in order.

use matrixon_http::UserAuth;
use matrixon_matrix::{NewEvent, RoomVersion, canonical};
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, OwnedUserId,
    api::client::room::{
        Visibility,
        create_room::v3::{Request, RoomPreset},
    },
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::content;
use crate::{
    error::RoomError, membership::check_local, profiles::Profile, service::Room, timeline::send::check_state_content,
};

#[derive(Deserialize)]
struct InitialState {
    #[serde(rename = "type")]
    event_type: String,
    #[serde(default)]
    state_key: String,
    content: Box<RawValue>,
}

/// `{"name": "value"}`
fn object(members: &[(&str, &str)]) -> CanonicalJsonObject {
    members.iter().map(|(name, value)| ((*name).to_owned(), CanonicalJsonValue::from(*value))).collect()
}

/// `M_INVALID_PARAM` ← too many invites · `M_BAD_JSON` ← initial state that is none
pub(super) async fn after_create(
    room: &Room,
    auth: &UserAuth,
    version: RoomVersion,
    create: &NewEvent,
    alias: Option<&str>,
    request: Request,
) -> Result<Vec<NewEvent>, RoomError> {
    let preset = preset_of(&request);
    let mut initial = initial_state(auth, &request)?;
    let invited = invited(room, &request)?;
    let mut asked = invited.clone();
    asked.push(auth.user_id.clone());
    let mut profiles = room.profiles.load(&asked).await;
    let state = |event_type: &str, content| NewEvent::state(auth.user_id.clone(), event_type, "", content);

    let mut events = vec![member(auth, &auth.user_id, "join", profiles.remove(auth.user_id.as_str()))];
    let given = initial.iter().position(|event| event.event_type == "m.room.power_levels" && is_unkeyed(event));
    events.push(match given {
        Some(index) => {
            let event = initial.remove(index);
            content::check_power_levels(auth, version, create, &event.content)?;
            event
        }
        None => state("m.room.power_levels", content::power_levels_content(auth, version, create, &preset, &request)?),
    });
    let has = |event_type: &str| initial.iter().any(|event| event.event_type == event_type && is_unkeyed(event));
    if let Some(alias) = alias.filter(|_| !has("m.room.canonical_alias")) {
        events.push(state("m.room.canonical_alias", object(&[("alias", alias)])));
    }
    for (event_type, member, value) in preset_state(&preset) {
        if !has(event_type) {
            events.push(state(event_type, object(&[(member, value)])));
        }
    }
    events.append(&mut initial);
    if let Some(name) = &request.name {
        events.push(state("m.room.name", object(&[("name", name)])));
    }
    if let Some(topic) = &request.topic {
        events.push(state("m.room.topic", topic_content(topic)));
    }
    for user_id in &invited {
        let mut event = member(auth, user_id, "invite", profiles.remove(user_id.as_str()));
        if request.is_direct {
            event.content.insert("is_direct".to_owned(), true.into());
        }
        events.push(event);
    }
    Ok(events)
}

fn is_unkeyed(event: &NewEvent) -> bool {
    event.state_key.as_deref() == Some("")
}

fn preset_of(request: &Request) -> RoomPreset {
    request.preset.clone().unwrap_or(match request.visibility {
        Visibility::Public => RoomPreset::PublicChat,
        _ => RoomPreset::PrivateChat,
    })
}

/// <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom>
fn preset_state(preset: &RoomPreset) -> [(&'static str, &'static str, &'static str); 3] {
    let (join_rule, guest_access) =
        if *preset == RoomPreset::PublicChat { ("public", "forbidden") } else { ("invite", "can_join") };
    [
        ("m.room.join_rules", "join_rule", join_rule),
        ("m.room.history_visibility", "history_visibility", "shared"),
        ("m.room.guest_access", "guest_access", guest_access),
    ]
}

fn topic_content(topic: &str) -> CanonicalJsonObject {
    let mut content = object(&[("topic", topic)]);
    let text = CanonicalJsonValue::Array(vec![CanonicalJsonValue::Object(object(&[("body", topic)]))]);
    let block = CanonicalJsonObject::from([("m.text".to_owned(), text)]);
    content.insert("m.topic".to_owned(), CanonicalJsonValue::Object(block));
    content
}

fn member(auth: &UserAuth, user_id: &OwnedUserId, membership: &str, profile: Option<Profile>) -> NewEvent {
    let mut content = object(&[("membership", membership)]);
    if let Some(profile) = profile {
        profile.write_to(&mut content);
    }
    NewEvent::state(auth.user_id.clone(), "m.room.member", user_id.as_str(), content)
}

fn invited(room: &Room, request: &Request) -> Result<Vec<OwnedUserId>, RoomError> {
    if request.invite.len() > room.config.max_invites {
        return Err(RoomError::InvalidParam(format!("more than {} invitations", room.config.max_invites)));
    }
    let mut invited: Vec<OwnedUserId> = Vec::with_capacity(request.invite.len());
    for user_id in &request.invite {
        check_local(room, user_id)?;
        if !invited.contains(user_id) {
            invited.push(user_id.clone());
        }
    }
    Ok(invited)
}

/// The last of several events of one type and key counts.
fn initial_state(auth: &UserAuth, request: &Request) -> Result<Vec<NewEvent>, RoomError> {
    let mut events: Vec<NewEvent> = Vec::with_capacity(request.initial_state.len());
    for raw in &request.initial_state {
        let given: InitialState = serde_json::from_str(raw.json().get())
            .map_err(|error| RoomError::BadJson(format!("`initial_state`: {error}")))?;
        if matches!(given.event_type.as_str(), "m.room.create" | "m.room.member") {
            return Err(RoomError::InvalidParam(format!("`initial_state` cannot have {}", given.event_type)));
        }
        canonical::check_names(&given.event_type, Some(&given.state_key))?;
        let content = canonical::parse_content(given.content.get().as_bytes())?;
        let event = NewEvent::state(auth.user_id.clone(), given.event_type, given.state_key, content);
        check_state_content(&event)?;
        events.retain(|known| known.event_type != event.event_type || known.state_key != event.state_key);
        events.push(event);
    }
    Ok(events)
}
