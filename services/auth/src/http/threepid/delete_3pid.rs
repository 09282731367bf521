//! `POST /_matrix/client/*/account/3pid/delete` —
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3account3piddelete>
//!
//! An address that the account does not have is no error: the request may come twice.

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::account::delete_3pid::v3;

use crate::{
    error::AuthError,
    state::Auth,
    threepids::{add, bind},
};

#[tracing::instrument(name = "auth.http.threepid.delete_3pid", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req, auth: requester, .. }: Matrix<v3::Request, UserAuth>,
) -> Result<v3::Response, AuthError> {
    let (user_id, medium) = (&requester.user_id, req.medium.as_str());
    add::delete(&auth, user_id, medium, &bind::canonical_form(medium, &req.address)).await?;
    // the address is gone from here whatever the identity server says
    let unbound = bind::unbind(&auth, user_id, (medium, &req.address), req.id_server.as_deref()).await;
    Ok(v3::Response::new(unbound.unwrap_or(bind::Unbound::NoSupport).into()))
}
