//! One room hears of one user's profile.

use matrixon_accounts::profiles::ProfileRow;
use matrixon_matrix::{NewEvent, canonical};
use matrixon_rooms::{events::content_of, state};
use ruma::{CanonicalJsonObject, CanonicalJsonValue, RoomId, UserId, events::StateEventType};

use crate::{
    error::RoomError,
    head::Head,
    service::Room,
    store::append::Dedupe,
    timeline::{
        append::append,
        draft::{Draft, Precheck},
    },
};

/// How often the membership may change under our hands.
const ATTEMPTS: usize = 5;

/// Sends the membership anew with the profile's name and avatar, unless it has them already or the user has left. Tells
/// what it did: `sent`, `unchanged` or `left`.
pub(super) async fn update(
    room: &Room,
    (number, room_id): (i64, &RoomId),
    user_id: &UserId,
    profile: &ProfileRow,
) -> Result<&'static str, RoomError> {
    for _ in 0..ATTEMPTS {
        let Some(present) = state::find_current(&room.db, number, "m.room.member", user_id.as_str()).await? else {
            return Ok("left");
        };
        if present.membership.as_deref() != Some("join") {
            return Ok("left");
        }
        let content = content_of(&present.json).unwrap_or("{}");
        let Some(content) = renamed(canonical::parse_content(content.as_bytes())?, profile) else {
            return Ok("unchanged");
        };
        // Joining again is not ours to do: whoever leaves meanwhile stays away, and what changed meanwhile is kept.
        let check = |head: &Head, _: &NewEvent| {
            let newest = head.state(&StateEventType::RoomMember, user_id.as_str());
            if newest.is_some_and(|newest| newest.event_id == present.event_id) {
                Ok(())
            } else {
                Err(RoomError::BadState("the membership has changed meanwhile".to_owned()))
            }
        };
        let event = NewEvent::state(user_id.to_owned(), "m.room.member", user_id.as_str(), content);
        let draft = Draft { event, dedupe: Dedupe::None, redaction: None, precheck: Precheck::Refuse(&check) };
        match append(room, room_id, &draft).await {
            Ok(_) => return Ok("sent"),
            Err(RoomError::BadState(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Err(RoomError::Busy)
}

/// The content with the profile's name and avatar; all else stays, but for who let the user into a restricted room: that
/// would need their server's signature again. None: it says so already.
fn renamed(mut content: CanonicalJsonObject, profile: &ProfileRow) -> Option<CanonicalJsonObject> {
    let mut is_changed = false;
    for (member, wanted) in [("displayname", &profile.displayname), ("avatar_url", &profile.avatar_url)] {
        let wanted = wanted.as_deref().map(CanonicalJsonValue::from);
        if content.get(member) == wanted.as_ref() {
            continue;
        }
        is_changed = true;
        match wanted {
            Some(wanted) => content.insert(member.to_owned(), wanted),
            None => content.remove(member),
        };
    }
    content.remove("join_authorised_via_users_server");
    is_changed.then_some(content)
}

#[cfg(test)]
mod tests {
    use matrixon_accounts::profiles::ProfileRow;
    use matrixon_matrix::canonical::parse_content;

    use super::renamed;

    #[test]
    fn only_name_and_avatar_change() {
        let profile = |name: Option<&str>| ProfileRow {
            user_id: "@a:b".to_owned(),
            displayname: name.map(str::to_owned),
            avatar_url: None,
        };
        let before =
            br#"{"membership":"join","displayname":"A","avatar_url":"mxc://b/c","reason":"why","org.example":1,
            "join_authorised_via_users_server":"@c:d"}"#;
        let parse = |json: &[u8]| parse_content(json).unwrap();
        let after = renamed(parse(before), &profile(Some("B"))).unwrap();
        assert_eq!(after, parse(br#"{"membership":"join","displayname":"B","reason":"why","org.example":1}"#));
        assert_eq!(renamed(after.clone(), &profile(Some("B"))), None);
        let nameless = renamed(after, &profile(None)).unwrap();
        assert_eq!(nameless, parse(br#"{"membership":"join","reason":"why","org.example":1}"#));
        assert_eq!(renamed(nameless, &profile(None)), None);
    }
}
