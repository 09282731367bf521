//! `GET /_matrix/client/*/user/{userId}/filter/{filterId}` — <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridfilterfilterid>
//! Errors: `M_FORBIDDEN` ← of another user · `M_NOT_FOUND` ← no such filter

use axum::extract::State;
use matrixon_http::{Matrix, RawJson, UserAuth};
use ruma::api::client::filter::get_filter;

use crate::{error::SyncError, http::check_own, state::Sync, store};

#[tracing::instrument(name = "sync.http.filter.get_filter", skip_all)]
pub(crate) async fn handler(
    State(sync): State<Sync>,
    Matrix { req, auth, .. }: Matrix<get_filter::v3::Request, UserAuth>,
) -> Result<RawJson, SyncError> {
    check_own(&auth, &req.user_id)?;
    let unknown = SyncError::NotFound("there is no such filter");
    let Ok(id) = req.filter_id.parse() else { return Err(unknown) };
    let filter = store::filters::find(&sync.db, auth.user_id.as_str(), id).await?.ok_or(unknown)?;
    Ok(RawJson(filter.into()))
}
