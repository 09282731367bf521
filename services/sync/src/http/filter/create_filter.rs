//! `POST /_matrix/client/*/user/{userId}/filter` — <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3useruseridfilter>
//! Errors: `M_FORBIDDEN` ← for another user · `M_BAD_JSON` ← not a filter · `M_TOO_LARGE` ← this user has too many filters

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::filter::create_filter;

use crate::{error::SyncError, filter, filters, http::check_own, state::Sync};

#[tracing::instrument(name = "sync.http.filter.create_filter", skip_all)]
pub(crate) async fn handler(
    State(sync): State<Sync>,
    Matrix { req, auth, body, .. }: Matrix<create_filter::v3::Request, UserAuth>,
) -> Result<create_filter::v3::Response, SyncError> {
    check_own(&auth, &req.user_id)?;
    filter::check(&req.filter)?;
    let id = filters::store(&sync, auth.user_id.as_str(), &body).await?;
    Ok(create_filter::v3::Response::new(id.to_string()))
}
