//! `GET /_matrix/client/*/account/3pid` —
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3account3pid>
//!
//! Always empty: this server does not associate addresses with accounts, but clients ask on their settings page.

use axum::extract::State;
use matrixon_http::{Matrix, MatrixError, UserAuth};
use ruma::api::client::account::get_3pids::v3;

use crate::state::Auth;

#[tracing::instrument(name = "auth.http.account.get_3pids", skip_all)]
pub(crate) async fn handler(
    State(_): State<Auth>,
    _: Matrix<v3::Request, UserAuth>,
) -> Result<v3::Response, MatrixError> {
    Ok(v3::Response::new(Vec::new()))
}
