//! `DELETE /_matrix/client/*/room_keys/keys/{roomId}` —
//! <https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3room_keyskeysroomid>
//!
//! Errors: `M_NOT_FOUND` ← there is no such version

use axum::extract::State;
use matrixon_http::{Matrix, RawJson, UserAuth};
use ruma::api::client::backup::delete_backup_keys_for_room::v3;

use crate::{backup::keys, error::AuthError, http::backup::state_answer, state::Auth, store::backup_keys::Selection};

#[tracing::instrument(name = "auth.http.backup.delete_backup_keys_for_room", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req, auth: requester, .. }: Matrix<v3::Request, UserAuth>,
) -> Result<RawJson, AuthError> {
    let selection = Selection { room_id: Some(req.room_id.as_str()), session_id: None };
    state_answer(keys::delete(&auth, &requester.user_id, &req.version, selection).await?)
}
