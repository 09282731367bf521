//! `PUT /_matrix/client/*/admin/lock/{userId}` —
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv1adminlockuserid>
//!
//! Errors: `M_FORBIDDEN` ← no administrator, or the user is one · `M_INVALID_PARAM` ← of another server ·
//! `M_NOT_FOUND` ← no such user

use axum::extract::State;
use matrixon_http::{Matrix, MatrixError, UserAuth};
use ruma::api::client::admin::lock_user::v1;

use super::check_target;
use crate::{
    admin::change::{Change, change},
    audit::{Caller, Via},
    state::Auth,
};

#[tracing::instrument(name = "auth.http.admin.lock_user", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req, auth: requester, meta, .. }: Matrix<v1::Request, UserAuth>,
) -> Result<v1::Response, MatrixError> {
    check_target(&auth, &requester, &req.user_id).await?;
    let caller = Caller::new(requester.user_id, Via::Client, &meta);
    let to = if req.locked { Change::Lock } else { Change::Unlock };
    change(&auth, &caller, req.user_id.as_str(), to).await?;
    Ok(v1::Response::new(req.locked))
}
