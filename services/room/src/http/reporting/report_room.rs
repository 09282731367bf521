//! `POST /_matrix/client/*/rooms/{roomId}/report`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidreport>
//! Errors: `M_NOT_FOUND` ← a room that this server does not know · `M_INVALID_PARAM` ← over 1,000 characters of reason

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::room::report_room::v3::{Request, Response};

use crate::{
    error::RoomError,
    reports::{Reporter, report_room},
    service::Room,
};

#[tracing::instrument(name = "room.http.reporting.report_room", skip_all, fields(room.id = %req.room_id))]
pub(crate) async fn handler(
    State(room): State<Room>,
    Matrix { req, auth, .. }: Matrix<Request, UserAuth>,
) -> Result<Response, RoomError> {
    report_room(&room, Reporter { user_id: &auth.user_id, reason: req.reason }, &req.room_id).await?;
    Ok(Response::new())
}
