//! `GET /_matrix/client/*/thirdparty/user` —
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3thirdpartyuser>
//!
//! Errors: `M_NOT_FOUND` ← the user is of no third-party network

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::thirdparty::get_user_for_user_id::v3;

use crate::{error::AuthError, state::Auth};

#[tracing::instrument(name = "auth.http.thirdparty.get_user_for_user_id", skip_all)]
pub(crate) async fn handler(
    State(_): State<Auth>,
    _: Matrix<v3::Request, UserAuth>,
) -> Result<v3::Response, AuthError> {
    Err(AuthError::NotFound("the user is of no third-party network"))
}
