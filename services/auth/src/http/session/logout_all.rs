//! `POST /_matrix/client/*/logout/all` —
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3logoutall>

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::session::logout_all::v3;

use crate::{error::AuthError, sessions::end, state::Auth};

#[tracing::instrument(name = "auth.http.session.logout_all", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { auth: requester, .. }: Matrix<v3::Request, UserAuth>,
) -> Result<v3::Response, AuthError> {
    end::logout_all(&auth, &requester.user_id).await?;
    Ok(v3::Response::new())
}
