//! `DELETE /_matrix/client/*/user/{userId}/rooms/{roomId}/tags/{tag}` — <https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3useruseridroomsroomidtagstag>
//! Errors: `M_FORBIDDEN` ← for another user · `M_NOT_FOUND` ← the room is unknown. Removing what is not there is fine.

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::tag::delete_tag;

use crate::{account_data, error::SyncError, http::check_own, state::Sync};

#[tracing::instrument(name = "sync.http.tag.delete_tag", skip_all, fields(room.id = %req.room_id))]
pub(crate) async fn handler(
    State(sync): State<Sync>,
    Matrix { req, auth, .. }: Matrix<delete_tag::v3::Request, UserAuth>,
) -> Result<delete_tag::v3::Response, SyncError> {
    check_own(&auth, &req.user_id)?;
    account_data::set_tag(&sync, auth.user_id.as_str(), &req.room_id, &req.tag, None).await?;
    Ok(delete_tag::v3::Response::new())
}
