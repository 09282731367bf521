//! The contents of a new room's create and power levels events.

use matrixon_http::UserAuth;
use matrixon_matrix::{NewEvent, RoomVersion, canonical, power_levels};
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, OwnedUserId, UserId,
    api::client::room::create_room::v3::{Request, RoomPreset},
};

use crate::error::RoomError;

/// `M_BAD_JSON` ← `creation_content` of wrong types
pub(super) fn create_event(auth: &UserAuth, version: RoomVersion, request: &Request) -> Result<NewEvent, RoomError> {
    let mut content = match &request.creation_content {
        Some(content) => canonical::parse_content(content.json().get().as_bytes())?,
        None => CanonicalJsonObject::new(),
    };
    content.insert("room_version".to_owned(), version.as_str().into());
    // since room version 11 the sender is the creator
    if version.rules.authorization.use_room_create_sender {
        content.remove("creator");
    } else {
        content.insert("creator".to_owned(), auth.user_id.as_str().into());
    }
    if content.get("m.federate").is_some_and(|value| value.as_bool().is_none()) {
        return Err(RoomError::BadJson("`m.federate` must be a boolean".to_owned()));
    }
    if version.privileges_creators() {
        add_creators(&mut content, auth, request)?;
    }
    Ok(NewEvent::state(auth.user_id.clone(), "m.room.create", "", content))
}

/// In a trusted private chat everyone invited is a creator too.
fn add_creators(content: &mut CanonicalJsonObject, auth: &UserAuth, request: &Request) -> Result<(), RoomError> {
    let mut creators = additional_creators(content)?;
    if request.preset == Some(RoomPreset::TrustedPrivateChat) {
        for user_id in &request.invite {
            if !creators.contains(user_id) && *user_id != auth.user_id {
                creators.push(user_id.clone());
            }
        }
    }
    if !creators.is_empty() {
        let list = creators.iter().map(|user_id| user_id.as_str().into()).collect();
        content.insert("additional_creators".to_owned(), CanonicalJsonValue::Array(list));
    }
    Ok(())
}

pub(super) fn additional_creators(content: &CanonicalJsonObject) -> Result<Vec<OwnedUserId>, RoomError> {
    let Some(value) = content.get("additional_creators") else { return Ok(Vec::new()) };
    let bad = || RoomError::BadJson("`additional_creators` must be an array of user ids".to_owned());
    let items = value.as_array().ok_or_else(bad)?;
    items.iter().map(|item| item.as_str().and_then(|text| UserId::parse(text).ok()).ok_or_else(bad)).collect()
}

/// `M_BAD_JSON` ← an override of wrong types, or one that would disempower the creator
pub(super) fn power_levels_content(
    auth: &UserAuth,
    version: RoomVersion,
    create: &NewEvent,
    preset: &RoomPreset,
    request: &Request,
) -> Result<CanonicalJsonObject, RoomError> {
    let mut powerful: Vec<OwnedUserId> = Vec::new();
    if !version.privileges_creators() {
        powerful.push(auth.user_id.clone());
        if *preset == RoomPreset::TrustedPrivateChat {
            powerful.extend(request.invite.iter().cloned());
        }
    }
    let invite = if *preset == RoomPreset::PublicChat { 50 } else { 0 };
    let mut content = power_levels::initial_content(version, &powerful, invite);
    if let Some(changes) = &request.power_level_content_override {
        content.extend(canonical::parse_content(changes.json().get().as_bytes())?);
    }
    check_power_levels(auth, version, create, &content)?;
    Ok(content)
}

pub(super) fn check_power_levels(
    auth: &UserAuth,
    version: RoomVersion,
    create: &NewEvent,
    content: &CanonicalJsonObject,
) -> Result<(), RoomError> {
    power_levels::check_content(content).map_err(|error| RoomError::BadJson(error.to_string()))?;
    let users = content.get("users").and_then(CanonicalJsonValue::as_object);
    let names = |user_id: &UserId| users.is_some_and(|users| users.contains_key(user_id.as_str()));
    if version.privileges_creators() {
        let creators = additional_creators(&create.content)?;
        if let Some(creator) = creators.iter().chain([&auth.user_id]).find(|creator| names(creator)) {
            return Err(RoomError::BadJson(format!(
                "the creator {creator} must not be in `users` of the power levels"
            )));
        }
    } else if users.is_some() && !names(&auth.user_id) {
        return Err(RoomError::BadJson("`users` of the power levels must contain the creator".to_owned()));
    }
    Ok(())
}
