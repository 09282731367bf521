//! `GET /_matrix/client/*/capabilities` —
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3capabilities>
//!
//! Everything is said, the defaults of the specification too.

use axum::extract::State;
use bytes::Bytes;
use matrixon_http::{Matrix, MatrixError, RawJson, UserAuth};
use ruma::api::client::discovery::get_capabilities::v3;
use serde_json::json;

use crate::{
    profiles::field::{AVATAR_URL, DISPLAYNAME},
    state::Auth,
};

#[tracing::instrument(name = "auth.http.discovery.get_capabilities", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { auth: requester, .. }: Matrix<v3::Request, UserAuth>,
) -> Result<RawJson, MatrixError> {
    let disallowed = &auth.config.profiles.disallowed_fields;
    let may_set = |field: &str| !disallowed.iter().any(|one| one == field);
    let mut profile_fields = json!({ "enabled": true });
    if !disallowed.is_empty() {
        profile_fields["disallowed"] = json!(disallowed);
    }
    let mut capabilities = json!({ "capabilities": {
        "m.change_password": { "enabled": true },
        "m.room_versions": {
            "default": "12",
            "available": { "10": "stable", "11": "stable", "12": "stable" },
        },
        "m.set_displayname": { "enabled": may_set(DISPLAYNAME) },
        "m.set_avatar_url": { "enabled": may_set(AVATAR_URL) },
        "m.profile_fields": profile_fields,
        "m.3pid_changes": { "enabled": auth.config.email.is_enabled() },
        "m.get_login_token": { "enabled": true },
    } });
    if requester.admin {
        capabilities["capabilities"]["m.account_moderation"] = json!({ "lock": true, "suspend": true });
    }
    Ok(RawJson(Bytes::from(capabilities.to_string())))
}
