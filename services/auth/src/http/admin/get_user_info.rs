//! `GET /_matrix/client/*/admin/whois/{userId}` —
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3adminwhoisuserid>
//!
//! Errors: `M_FORBIDDEN` ← neither an administrator nor oneself · `M_NOT_FOUND` ← no such user

use axum::extract::State;
use matrixon_http::{Matrix, RawJson, UserAuth};
use ruma::api::client::admin::get_user_info::v3;

use super::{check_admin, check_local};
use crate::{
    accounts::moderation, error::AuthError, http::to_json, sessions::devices::WhoisAnswer, state::Auth, store::devices,
};

#[tracing::instrument(name = "auth.http.admin.get_user_info", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req, auth: requester, .. }: Matrix<v3::Request, UserAuth>,
) -> Result<RawJson, AuthError> {
    if requester.user_id != req.user_id {
        check_admin(&auth, &requester).await?;
    }
    check_local(&auth, &req.user_id)?;
    moderation::get_state(&auth, &req.user_id).await?;
    let rows = devices::list_devices(&auth.db, req.user_id.as_str()).await?;
    Ok(RawJson(to_json(&WhoisAnswer::new(req.user_id, rows))?))
}
