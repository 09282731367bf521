//! `POST /_matrix/client/*/rooms/{roomId}/report/{eventId}`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidreporteventid>
//! Errors: `M_NOT_FOUND` ← not in the room, or no such event in it · `M_INVALID_PARAM` ← over 1,000 characters of reason

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::room::report_content::v3::{Request, Response};

use crate::{
    error::RoomError,
    reports::{Reporter, report_event},
    service::Room,
};

#[tracing::instrument(name = "room.http.reporting.report_content", skip_all, fields(room.id = %req.room_id))]
pub(crate) async fn handler(
    State(room): State<Room>,
    Matrix { req, auth, .. }: Matrix<Request, UserAuth>,
) -> Result<Response, RoomError> {
    let by = Reporter { user_id: &auth.user_id, reason: req.reason.unwrap_or_default() };
    report_event(&room, by, &req.room_id, &req.event_id).await?;
    Ok(Response::new())
}
