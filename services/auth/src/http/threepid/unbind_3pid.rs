//! `POST /_matrix/client/*/account/3pid/unbind` —
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3account3pidunbind>
//!
//! Errors: `M_UNKNOWN` (502) ← the identity server does not answer

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::account::unbind_3pid::v3;

use crate::{error::AuthError, state::Auth, threepids::bind};

#[tracing::instrument(name = "auth.http.threepid.unbind_3pid", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req, auth: requester, .. }: Matrix<v3::Request, UserAuth>,
) -> Result<v3::Response, AuthError> {
    let threepid = (req.medium.as_str(), req.address.as_str());
    let unbound = bind::unbind(&auth, &requester.user_id, threepid, req.id_server.as_deref()).await?;
    Ok(v3::Response::new(unbound.into()))
}
