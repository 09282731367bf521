//! `PUT /_matrix/client/*/admin/suspend/{userId}` —
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv1adminsuspenduserid>
//!
//! Errors: `M_FORBIDDEN` ← no administrator, or the user is one · `M_INVALID_PARAM` ← of another server ·
//! `M_NOT_FOUND` ← no such user

use axum::extract::State;
use matrixon_http::{Matrix, MatrixError, UserAuth};
use ruma::api::client::admin::suspend_user::v1;

use super::moderate;
use crate::{admin::change::Change, state::Auth};

#[tracing::instrument(name = "auth.http.admin.suspend_user", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req, auth: requester, meta, .. }: Matrix<v1::Request, UserAuth>,
) -> Result<v1::Response, MatrixError> {
    let to = if req.suspended { Change::Suspend } else { Change::Unsuspend };
    moderate(&auth, (&requester, &meta), &req.user_id, to).await?;
    Ok(v1::Response::new(req.suspended))
}
