//! `PUT /_matrix/client/*/room_keys/keys/{roomId}` —
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3room_keyskeysroomid>
//!
//! Errors: `M_NOT_FOUND` ← there is no backup · `M_WRONG_ROOM_KEYS_VERSION` 403 ← not the current version, which is
//! `current_version` · `M_BAD_JSON`, `M_INVALID_PARAM`, `M_TOO_LARGE` ← a key or id against the rules

use axum::extract::State;
use matrixon_http::{Matrix, RawJson, UserAuth};
use ruma::api::client::backup::{RoomKeyBackup, add_backup_keys_for_room::v3};

use crate::{backup::keys, error::AuthError, http::backup::state_answer, state::Auth};

#[tracing::instrument(name = "auth.http.backup.add_backup_keys_for_room", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req, auth: requester, .. }: Matrix<v3::Request, UserAuth>,
) -> Result<RawJson, AuthError> {
    let rooms = [(req.room_id, RoomKeyBackup::new(req.sessions))].into();
    state_answer(keys::add(&auth, &requester.user_id, &req.version, &rooms).await?)
}
