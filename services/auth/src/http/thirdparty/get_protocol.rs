//! `GET /_matrix/client/*/thirdparty/protocol/{protocol}` —
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3thirdpartyprotocolprotocol>
//!
//! Errors: `M_NOT_FOUND` ← no bridge speaks the protocol

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::thirdparty::get_protocol::v3;

use crate::{error::AuthError, state::Auth};

#[tracing::instrument(name = "auth.http.thirdparty.get_protocol", skip_all)]
pub(crate) async fn handler(
    State(_): State<Auth>,
    _: Matrix<v3::Request, UserAuth>,
) -> Result<v3::Response, AuthError> {
    Err(AuthError::NotFound("this server speaks no such protocol"))
}
