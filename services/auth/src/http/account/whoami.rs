//! `GET /_matrix/client/*/account/whoami` —
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3accountwhoami>

use axum::extract::State;
use matrixon_http::{Matrix, MatrixError, UserAuth};
use ruma::api::client::account::whoami::v3;

use crate::state::Auth;

#[tracing::instrument(name = "auth.http.account.whoami", skip_all)]
pub(crate) async fn handler(
    State(_): State<Auth>,
    Matrix { auth: requester, .. }: Matrix<v3::Request, UserAuth>,
) -> Result<v3::Response, MatrixError> {
    let mut response = v3::Response::new(requester.user_id, requester.standing.guest);
    response.device_id = Some(requester.device_id);
    Ok(response)
}
