//! `GET /_matrix/client/*/thirdparty/location` —
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3thirdpartylocation>
//!
//! Errors: `M_NOT_FOUND` ← the alias leads to no third-party network

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::thirdparty::get_location_for_room_alias::v3;

use crate::{error::AuthError, state::Auth};

#[tracing::instrument(name = "auth.http.thirdparty.get_location_for_room_alias", skip_all)]
pub(crate) async fn handler(
    State(_): State<Auth>,
    _: Matrix<v3::Request, UserAuth>,
) -> Result<v3::Response, AuthError> {
    Err(AuthError::NotFound("the alias leads to no third-party network"))
}
