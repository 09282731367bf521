//! `GET /_matrix/client/*/user/{userId}/account_data/{type}` — <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridaccount_datatype>
//! Errors: `M_FORBIDDEN` ← of another user · `M_NOT_FOUND` ← never set

use axum::extract::State;
use matrixon_http::{Matrix, RawJson, UserAuth};
use ruma::api::client::config::get_global_account_data;

use crate::{account_data, error::SyncError, http::check_own, state::Sync};

#[tracing::instrument(name = "sync.http.account_data.get_global_account_data", skip_all)]
pub(crate) async fn handler(
    State(sync): State<Sync>,
    Matrix { req, auth, .. }: Matrix<get_global_account_data::v3::Request, UserAuth>,
) -> Result<RawJson, SyncError> {
    check_own(&auth, &req.user_id)?;
    account_data::get(&sync, auth.user_id.as_str(), "", &req.event_type.to_string()).await.map(RawJson)
}
