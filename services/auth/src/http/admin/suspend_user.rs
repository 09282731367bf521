//! `PUT /_matrix/client/*/admin/suspend/{userId}` —
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv1adminsuspenduserid>
//!
//! Errors: `M_FORBIDDEN` ← no administrator, or the user is one · `M_INVALID_PARAM` ← of another server ·
//! `M_NOT_FOUND` ← no such user

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::admin::suspend_user::v1;

use super::check_target;
use crate::{accounts::moderation, error::AuthError, state::Auth};

#[tracing::instrument(name = "auth.http.admin.suspend_user", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req, auth: requester, .. }: Matrix<v1::Request, UserAuth>,
) -> Result<v1::Response, AuthError> {
    check_target(&auth, &requester, &req.user_id).await?;
    if req.suspended {
        moderation::suspend(&auth, &req.user_id).await?;
    } else {
        moderation::unsuspend(&auth, &req.user_id).await?;
    }
    Ok(v1::Response::new(req.suspended))
}
