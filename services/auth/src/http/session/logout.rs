//! `POST /_matrix/client/*/logout` — <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3logout>

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::session::logout::v3;

use crate::{error::AuthError, sessions::end, state::Auth};

#[tracing::instrument(name = "auth.http.session.logout", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { auth: requester, .. }: Matrix<v3::Request, UserAuth>,
) -> Result<v3::Response, AuthError> {
    end::logout(&auth, &requester.user_id, &requester.device_id).await?;
    Ok(v3::Response::new())
}
