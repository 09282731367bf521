//! The one way to change a membership.

use matrixon_http::{RequestMeta, UserAuth};
use matrixon_matrix::NewEvent;
use ruma::{CanonicalJsonObject, OwnedEventId, OwnedUserId, RoomId};

use crate::{
    error::RoomError,
    service::Room,
    timeline::{
        append::append,
        draft::{Draft, Precheck},
        send::dedupe_by_request,
    },
};

/// Who asks for it.
#[derive(Clone, Copy)]
pub(crate) struct Requester<'a> {
    pub(crate) auth: &'a UserAuth,
    pub(crate) meta: &'a RequestMeta,
}

pub(crate) struct Change<'a> {
    pub(crate) target: OwnedUserId,
    pub(crate) content: CanonicalJsonObject,
    pub(crate) precheck: Precheck<'a>,
}

/// `{"membership": …, "reason": …}`
pub(crate) fn content(membership: &str, reason: Option<String>) -> CanonicalJsonObject {
    let mut content = CanonicalJsonObject::new();
    content.insert("membership".to_owned(), membership.into());
    if let Some(reason) = reason {
        content.insert("reason".to_owned(), reason.into());
    }
    content
}

pub(crate) async fn change(
    room: &Room,
    room_id: &RoomId,
    by: Requester<'_>,
    change: Change<'_>,
) -> Result<OwnedEventId, RoomError> {
    let event = NewEvent::state(by.auth.user_id.clone(), "m.room.member", change.target.as_str(), change.content);
    let dedupe = dedupe_by_request(by.auth, by.meta);
    append(room, room_id, &Draft { event, dedupe, redaction: None, precheck: change.precheck }).await
}
