//! `GET /_matrix/client/*/room_keys/keys` —
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3room_keyskeys>
//!
//! Errors: `M_NOT_FOUND` ← there is no such version

use axum::extract::State;
use matrixon_http::{Matrix, RawResponse, UserAuth};
use ruma::api::client::backup::get_backup_keys::v3;

use crate::{backup::keys, error::AuthError, http::backup::pages_answer, state::Auth};

#[tracing::instrument(name = "auth.http.backup.get_backup_keys", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req, auth: requester, .. }: Matrix<v3::Request, UserAuth>,
) -> Result<RawResponse, AuthError> {
    pages_answer(keys::list(&auth, &requester.user_id, &req.version, None).await?).await
}
