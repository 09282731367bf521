//! `GET /_matrix/client/*/rooms/{roomId}/members`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmembers>
//! Errors: `M_FORBIDDEN` ← never in the room, and it is not world readable · `M_INVALID_PARAM` ← `at` is no token of this server

use axum::extract::State;
use matrixon_http::{Matrix, RawJson, UserAuth};
use ruma::{api::client::membership::get_member_events::v3::Request, events::room::member::MembershipState};

use crate::{
    error::RoomError,
    read::{
        members,
        present::{array, object, present},
        view::View,
    },
    service::Room,
};

#[tracing::instrument(name = "room.http.membership.get_member_events", skip_all, fields(room.id = %req.room_id))]
pub(crate) async fn handler(
    State(room): State<Room>,
    Matrix { req, auth, .. }: Matrix<Request, UserAuth>,
) -> Result<RawJson, RoomError> {
    let view = View::load(&room.db, &req.room_id, &auth.user_id).await?;
    let mut rows = members::load_all(&room, &view, req.at.as_deref()).await?;
    let is = |wanted: &MembershipState, actual: Option<&str>| actual == Some(wanted.as_str());
    rows.retain(|row| {
        let membership = row.membership.as_deref();
        req.membership.as_ref().is_none_or(|wanted| is(wanted, membership))
            && !req.not_membership.as_ref().is_some_and(|unwanted| is(unwanted, membership))
    });
    let chunk = present(&room, &auth, &view, &rows).await?;
    Ok(RawJson(object(&[("chunk", Some(array(&chunk)))])))
}
