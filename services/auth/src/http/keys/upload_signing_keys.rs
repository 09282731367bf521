//! `POST /_matrix/client/*/keys/device_signing/upload` —
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysdevice_signingupload>
//!
//! Errors: 401 ← published keys would be replaced or added to, and the password is still to be shown · `M_MISSING_PARAM` ←
//! no master key · `M_INVALID_SIGNATURE` ← not signed by it · `M_FORBIDDEN` ← a key is named like a device ·
//! `M_BAD_JSON`, `M_INVALID_PARAM` ← not a cross-signing key of the requester

use axum::extract::State;
use matrixon_http::{Matrix, UserAuth};
use ruma::{UserId, api::client::keys::upload_signing_keys::v3};

use crate::{
    error::AuthError,
    keys::cross_signing::{NewKeys, Published, Usage, publish},
    state::Auth,
    uia::{self, Policy, Uia},
};

#[tracing::instrument(name = "auth.http.keys.upload_signing_keys", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req: request, auth: requester, .. }: Matrix<Uia<v3::Request>, UserAuth>,
) -> Result<v3::Response, AuthError> {
    let user_id = &requester.user_id;
    if let Some(req) = request.request().filter(|_| !request.is_replay())
        && publish(&auth, user_id, &new_keys(req, user_id)?, false).await? == Published::Done
    {
        return Ok(v3::Response::new());
    }
    let req = uia::authenticate(&auth, request, &Policy::password(user_id)).await?.req;
    publish(&auth, user_id, &new_keys(&req, user_id)?, true).await?;
    Ok(v3::Response::new())
}

fn new_keys(req: &v3::Request, user_id: &UserId) -> Result<NewKeys, AuthError> {
    let mut keys = NewKeys::default();
    let all = [&req.master_key, &req.self_signing_key, &req.user_signing_key];
    for (usage, key) in [Usage::Master, Usage::SelfSigning, Usage::UserSigning].into_iter().zip(all) {
        if let Some(key) = key {
            keys.add(usage, key.json().get(), user_id)?;
        }
    }
    Ok(keys)
}
