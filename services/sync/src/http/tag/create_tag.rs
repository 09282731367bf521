//! `PUT /_matrix/client/*/user/{userId}/rooms/{roomId}/tags/{tag}` — <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3useruseridroomsroomidtagstag>
//! Errors: `M_FORBIDDEN` ← for another user · `M_NOT_FOUND` ← the room is unknown · `M_INVALID_PARAM` ← a name of over 255
//! bytes · `M_TOO_LARGE` ← more than 64 KiB of tags

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::tag::create_tag;

use crate::{account_data, error::SyncError, http::check_own, state::Sync};

#[tracing::instrument(name = "sync.http.tag.create_tag", skip_all, fields(room.id = %req.room_id))]
pub(crate) async fn handler(
    State(sync): State<Sync>,
    Matrix { req, auth, body, .. }: Matrix<create_tag::v3::Request, UserAuth>,
) -> Result<create_tag::v3::Response, SyncError> {
    check_own(&auth, &req.user_id)?;
    let info = serde_json::from_slice(&body).map_err(|error| SyncError::BadJson(error.to_string()))?;
    account_data::set_tag(&sync, auth.user_id.as_str(), &req.room_id, &req.tag, Some(info)).await?;
    Ok(create_tag::v3::Response::new())
}
