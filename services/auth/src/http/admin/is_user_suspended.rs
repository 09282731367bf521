//! `GET /_matrix/client/*/admin/suspend/{userId}` —
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1adminsuspenduserid>
//!
//! Errors: `M_FORBIDDEN` ← no administrator · `M_INVALID_PARAM` ← of another server · `M_NOT_FOUND` ← no such user

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::admin::is_user_suspended::v1;

use super::{check_admin, get_state};
use crate::{error::AuthError, state::Auth};

#[tracing::instrument(name = "auth.http.admin.is_user_suspended", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req, auth: requester, .. }: Matrix<v1::Request, UserAuth>,
) -> Result<v1::Response, AuthError> {
    check_admin(&auth, &requester).await?;
    let state = get_state(&auth, &req.user_id).await?;
    Ok(v1::Response::new(state.suspended))
}
