//! `GET /_matrix/client/*/thirdparty/protocols` —
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3thirdpartyprotocols>

use std::collections::BTreeMap;

use axum::extract::State;
use matrixon_http::{Matrix, MatrixError, UserAuth};
use ruma::api::client::thirdparty::get_protocols::v3;

use crate::state::Auth;

#[tracing::instrument(name = "auth.http.thirdparty.get_protocols", skip_all)]
pub(crate) async fn handler(
    State(_): State<Auth>,
    _: Matrix<v3::Request, UserAuth>,
) -> Result<v3::Response, MatrixError> {
    Ok(v3::Response::new(BTreeMap::new()))
}
