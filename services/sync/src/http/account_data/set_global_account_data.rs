//! `PUT /_matrix/client/*/user/{userId}/account_data/{type}` — <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3useruseridaccount_datatype>
//! Errors: `M_FORBIDDEN` ← for another user · 405 `M_BAD_JSON` ← a type that the server keeps itself ·
//! `M_INVALID_PARAM` ← the type is too long

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::config::set_global_account_data;

use crate::{account_data, error::SyncError, http::check_own, state::Sync};

#[tracing::instrument(name = "sync.http.account_data.set_global_account_data", skip_all)]
pub(crate) async fn handler(
    State(sync): State<Sync>,
    Matrix { req, auth, body, .. }: Matrix<set_global_account_data::v3::Request, UserAuth>,
) -> Result<set_global_account_data::v3::Response, SyncError> {
    check_own(&auth, &req.user_id)?;
    account_data::set(&sync, auth.user_id.as_str(), None, &req.event_type.to_string(), body).await?;
    Ok(set_global_account_data::v3::Response::new())
}
