//! Joining and knocking.

use matrixon_matrix::NewEvent;
use matrixon_rooms::{Membership, members};
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, OwnedEventId, OwnedRoomId, OwnedRoomOrAliasId, OwnedUserId, RoomAliasId,
    RoomId, UserId, events::StateEventType,
};
use serde::Deserialize;

use super::{
    change::{Change, Requester, change, content as membership_content},
    guests::check_may_join,
};
use crate::{
    error::RoomError,
    head::Head,
    power,
    service::Room,
    store::{aliases, memberships},
    timeline::draft::Precheck,
};

/// Members of a join event's content that are not the client's to write.
const OURS: [&str; 5] =
    ["membership", "displayname", "avatar_url", "third_party_signed", "join_authorised_via_users_server"];

/// The room that an id or a local alias names.
///
/// `M_NOT_FOUND` ← unknown alias, or an alias of another server
pub(crate) async fn resolve(room: &Room, name: OwnedRoomOrAliasId) -> Result<OwnedRoomId, RoomError> {
    match OwnedRoomId::try_from(name) {
        Ok(room_id) => Ok(room_id),
        Err(alias) => find_alias(room, &alias).await,
    }
}

async fn find_alias(room: &Room, alias: &RoomAliasId) -> Result<OwnedRoomId, RoomError> {
    if !room.is_local(alias.server_name()) {
        return Err(RoomError::OtherServer(format!(
            "{alias} is an alias of another server, and this one does not federate yet"
        )));
    }
    let row = aliases::find(&room.db, alias.as_str()).await?;
    let row = row.ok_or_else(|| RoomError::NotFound(format!("there is no room alias {alias}")))?;
    RoomId::parse(row.room_id.as_str()).map_err(|error| RoomError::Internal(error.to_string()))
}

/// What a client wants to have in its join event: `reason`, and whatever it adds to the body of its request.
/// `M_BAD_JSON` ← no canonical JSON
pub(crate) fn custom_content(body: &[u8]) -> Result<CanonicalJsonObject, RoomError> {
    let mut content: CanonicalJsonObject =
        serde_json::from_slice(body).map_err(|error| RoomError::BadJson(error.to_string()))?;
    content.retain(|name, value| !OURS.contains(&name.as_str()) && *value != CanonicalJsonValue::Null);
    Ok(content)
}

/// `M_FORBIDDEN` ← the join rules, or banned · `M_NOT_FOUND` ← a room that this server does not know
/// `M_GUEST_ACCESS_FORBIDDEN` ← a guest, where the room lets none in
pub(crate) async fn join(
    room: &Room,
    room_id: &RoomId,
    by: Requester<'_>,
    custom: CanonicalJsonObject,
) -> Result<OwnedEventId, RoomError> {
    let user_id = &by.auth.user_id;
    if by.auth.standing.guest {
        check_may_join(room, room_id).await?;
    }
    let mut content = custom;
    content.extend(membership_content("join", None));
    if let Some(authoriser) = find_authoriser(room, room_id, user_id).await? {
        content.insert("join_authorised_via_users_server".to_owned(), authoriser.as_str().into());
    }
    room.profiles.load_one(user_id).await.write_to(&mut content);
    let change_to = Change { target: user_id.clone(), content, precheck: Precheck::Find(find_own_join) };
    change(room, room_id, by, change_to).await
}

/// Who is in the room has joined already.
fn find_own_join(head: &Head, event: &NewEvent) -> Option<OwnedEventId> {
    let member = head.state(&StateEventType::RoomMember, event.sender.as_str())?;
    (member.content_str("membership").as_deref() == Some("join")).then(|| member.event_id.clone())
}

/// `M_FORBIDDEN` ← the room does not take knocks
pub(crate) async fn knock(
    room: &Room,
    room_id: &RoomId,
    by: Requester<'_>,
    reason: Option<String>,
) -> Result<OwnedEventId, RoomError> {
    let user_id = &by.auth.user_id;
    let mut content = membership_content("knock", reason);
    room.profiles.load_one(user_id).await.write_to(&mut content);
    change(room, room_id, by, Change { target: user_id.clone(), content, precheck: Precheck::None }).await
}

#[derive(Deserialize)]
struct JoinRules {
    join_rule: String,
    #[serde(default)]
    allow: Vec<Allow>,
}

#[derive(Deserialize)]
struct Allow {
    #[serde(rename = "type")]
    kind: String,
    room_id: Option<String>,
}

/// In a restricted room: the member by whose power the user may join. None where no such is needed.
///
/// `M_FORBIDDEN` ← the user is in none of the rooms that give access
async fn find_authoriser(room: &Room, room_id: &RoomId, user_id: &UserId) -> Result<Option<OwnedUserId>, RoomError> {
    let mut head = Head::load(&room.db, room_id).await?;
    let rules = head.state(&StateEventType::RoomJoinRules, "");
    let Some(rules) = rules.and_then(|event| serde_json::from_str::<JoinRules>(event.content.get()).ok()) else {
        return Ok(None);
    };
    if !matches!(rules.join_rule.as_str(), "restricted" | "knock_restricted") {
        return Ok(None);
    }
    head.require(&room.db, &[(StateEventType::RoomMember, user_id.to_string())]).await?;
    if matches!(head.membership(user_id).as_str(), "join" | "invite" | "ban") {
        return Ok(None); // the rules decide without help
    }
    let room_ids: Vec<String> = rules
        .allow
        .into_iter()
        .filter(|allow| allow.kind == "m.room_membership")
        .filter_map(|allow| allow.room_id)
        .collect();
    if !memberships::is_joined_to_any(&room.db, user_id.as_str(), &room_ids).await? {
        return Err(RoomError::CannotAuthoriseJoin);
    }
    let power = power::levels(&head)?;
    for member in members::list_in_room(&room.db, head.room, Membership::Join).await? {
        if let Ok(member) = OwnedUserId::try_from(member.user_id)
            && room.is_local(member.server_name())
            && power.can_invite(&member)
        {
            return Ok(Some(member));
        }
    }
    Err(RoomError::Forbidden("nobody of this server may invite to the room".to_owned()))
}
