//! `GET /_matrix/client/*/thirdparty/location/{protocol}` —
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3thirdpartylocationprotocol>
//!
//! Errors: `M_NOT_FOUND` ← no bridge knows the place

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::thirdparty::get_location_for_protocol::v3;

use crate::{error::AuthError, state::Auth};

#[tracing::instrument(name = "auth.http.thirdparty.get_location_for_protocol", skip_all)]
pub(crate) async fn handler(
    State(_): State<Auth>,
    _: Matrix<v3::Request, UserAuth>,
) -> Result<v3::Response, AuthError> {
    Err(AuthError::NotFound("no room leads there"))
}
