//! `POST /_matrix/client/*/account/deactivate` —
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountdeactivate>
//!
//! Errors: 401 ← the password is still to be shown · `M_FORBIDDEN` ← the session was made for something else

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::api::client::account::{ThirdPartyIdRemovalStatus, deactivate::v3};

use crate::{
    accounts::{deactivate::deactivate, moderation},
    error::AuthError,
    state::Auth,
    threepids::bind,
    uia::{self, Policy, Uia},
};

#[tracing::instrument(name = "auth.http.account.deactivate", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req: request, auth: requester, .. }: Matrix<Uia<v3::Request>, UserAuth>,
) -> Result<v3::Response, AuthError> {
    // the same request once more, after its answer was lost: there is no password left to ask for
    if moderation::get_state(&auth, &requester.user_id).await?.deactivated {
        return Ok(v3::Response::new(ThirdPartyIdRemovalStatus::Success));
    }
    let req = uia::authenticate(&auth, request, &Policy::password(&requester.user_id)).await?.req;
    // while it is still known what was bound, and where
    let unbound = bind::unbind_all(&auth, &requester.user_id, req.id_server.as_deref()).await?;
    deactivate(&auth, &requester.user_id, req.erase).await?;
    Ok(v3::Response::new(unbound.into()))
}
