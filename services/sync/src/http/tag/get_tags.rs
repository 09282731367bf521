//! `GET /_matrix/client/*/user/{userId}/rooms/{roomId}/tags` — <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridroomsroomidtags>
//! Errors: `M_FORBIDDEN` ← of another user

use axum::extract::State;
use matrixon_http::{Matrix, RawJson, UserAuth};
use ruma::api::client::tag::get_tags;
use serde_json::json;

use crate::{account_data, error::SyncError, http::check_own, state::Sync};

#[tracing::instrument(name = "sync.http.tag.get_tags", skip_all)]
pub(crate) async fn handler(
    State(sync): State<Sync>,
    Matrix { req, auth, .. }: Matrix<get_tags::v3::Request, UserAuth>,
) -> Result<RawJson, SyncError> {
    check_own(&auth, &req.user_id)?;
    let tags = account_data::tags(&sync, auth.user_id.as_str(), &req.room_id).await?;
    Ok(RawJson(json!({ "tags": tags }).to_string().into()))
}
