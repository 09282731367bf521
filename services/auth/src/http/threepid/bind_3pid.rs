//! `POST /_matrix/client/*/account/3pid/bind` —
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3account3pidbind>
//!
//! Errors: `M_SERVER_NOT_TRUSTED` ← an identity server that is not in `auth.identity_servers` · what the identity server
//! says

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::account::bind_3pid::v3;

use crate::{
    error::AuthError,
    state::Auth,
    threepids::bind::{Binding, bind},
};

#[tracing::instrument(name = "auth.http.threepid.bind_3pid", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req, auth: requester, .. }: Matrix<v3::Request, UserAuth>,
) -> Result<v3::Response, AuthError> {
    let binding = Binding {
        id_server: &req.identity_server_info.id_server,
        id_access_token: &req.identity_server_info.id_access_token,
        sid: req.sid.as_str(),
        client_secret: req.client_secret.as_str(),
    };
    bind(&auth, &requester.user_id, &binding).await?;
    Ok(v3::Response::new())
}
