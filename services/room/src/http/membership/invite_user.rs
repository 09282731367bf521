//! `POST /_matrix/client/*/rooms/{roomId}/invite`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidinvite>
//! Errors: `M_FORBIDDEN` ← no power to invite, or the target is in the room or banned · `M_THREEPID_DENIED` ← by 3PID · `M_NOT_FOUND` ← a user of another server

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::membership::invite_user::v3::{InvitationRecipient, Request, Response};

use crate::{
    error::RoomError,
    membership::{Requester, Target, invite},
    service::Room,
};

#[tracing::instrument(name = "room.http.membership.invite_user", skip_all, fields(room.id = %req.room_id))]
pub(crate) async fn handler(
    State(room): State<Room>,
    Matrix { req, auth, meta, .. }: Matrix<Request, UserAuth>,
) -> Result<Response, RoomError> {
    let InvitationRecipient::UserId(recipient) = req.recipient else { return Err(RoomError::ThirdPartyInvite) };
    let target = Target { user_id: recipient.user_id, reason: recipient.reason };
    invite(&room, &req.room_id, Requester { auth: &auth, meta: &meta }, target).await?;
    Ok(Response::new())
}
