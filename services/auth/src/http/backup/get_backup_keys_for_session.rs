//! `GET /_matrix/client/*/room_keys/keys/{roomId}/{sessionId}` —
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3room_keyskeysroomidsessionid>
//!
//! Errors: `M_NOT_FOUND` ← there is no such version or session

use axum::extract::State;
use matrixon_http::{Matrix, RawJson, UserAuth};
use ruma::api::client::backup::get_backup_keys_for_session::v3;

use crate::{backup::keys, error::AuthError, state::Auth};

#[tracing::instrument(name = "auth.http.backup.get_backup_keys_for_session", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req, auth: requester, .. }: Matrix<v3::Request, UserAuth>,
) -> Result<RawJson, AuthError> {
    let place = (req.room_id.as_str(), req.session_id.as_str());
    let row = keys::get(&auth, &requester.user_id, &req.version, place).await?;
    Ok(RawJson(keys::write_key(&row).into()))
}
