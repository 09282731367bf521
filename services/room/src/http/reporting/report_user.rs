//! `POST /_matrix/client/*/users/{userId}/report`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3usersuseridreport>
//! Errors: `M_INVALID_PARAM` ← over 1,000 characters of reason. Whether there is such a user is not told.

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::reporting::report_user::v3::{Request, Response};

use crate::{
    error::RoomError,
    reports::{Reporter, report_user},
    service::Room,
};

#[tracing::instrument(name = "room.http.reporting.report_user", skip_all)]
pub(crate) async fn handler(
    State(room): State<Room>,
    Matrix { req, auth, .. }: Matrix<Request, UserAuth>,
) -> Result<Response, RoomError> {
    report_user(&room, Reporter { user_id: &auth.user_id, reason: req.reason }, &req.user_id).await?;
    Ok(Response::new())
}
