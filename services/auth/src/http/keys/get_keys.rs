//! `POST /_matrix/client/*/keys/query` —
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysquery>

use axum::extract::State;
use matrixon_http::{Matrix, RawJson, UserAuth};
use ruma::api::client::keys::get_keys::v3;

use crate::{error::AuthError, keys::query::query, state::Auth};

#[tracing::instrument(name = "auth.http.keys.get_keys", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req, auth: requester, .. }: Matrix<v3::Request, UserAuth>,
) -> Result<RawJson, AuthError> {
    Ok(RawJson(query(&auth, &requester.user_id, &req.device_keys).await?))
}
