//! `GET /_matrix/client/*/login` — <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3login>

use axum::extract::State;
use matrixon_http::{Matrix, MatrixError, NoAuth};
use ruma::api::client::session::get_login_types::v3::{self, LoginType, PasswordLoginType, TokenLoginType};

use crate::state::Auth;

#[tracing::instrument(name = "auth.http.session.get_login_types", skip_all)]
pub(crate) async fn handler(
    State(_): State<Auth>,
    _: Matrix<v3::Request, NoAuth>,
) -> Result<v3::Response, MatrixError> {
    let mut token = TokenLoginType::new();
    token.get_login_token = true;
    Ok(v3::Response::new(vec![LoginType::Password(PasswordLoginType::new()), LoginType::Token(token)]))
}
