//! `POST /_matrix/client/*/account/password` —
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountpassword>
//!
//! Who has a session shows the old password; who has none, an address of the account that has been confirmed for this.
//!
//! Errors: 401 ← authentication is not complete · `M_WEAK_PASSWORD` ← against the policy · `M_INVALID_PARAM` ← over 512
//! bytes · `M_MISSING_TOKEN` ← no session, and no e-mail here · `M_THREEPID_AUTH_FAILED` ← the confirmation is used up

use axum::extract::State;
use matrixon_http::{Matrix, OptionalAuth, UserAuth};
use ruma::api::client::account::change_password::v3;

use crate::{
    accounts::change_password::{Keep, change_password, reset_password},
    error::AuthError,
    state::Auth,
    threepids::Purpose,
    uia::{self, Policy, Stage, Uia},
};

#[tracing::instrument(name = "auth.http.account.change_password", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req: request, auth: OptionalAuth(requester), meta, .. }: Matrix<Uia<v3::Request>, OptionalAuth>,
) -> Result<v3::Response, AuthError> {
    if let Some(req) = request.request() {
        auth.passwords.check_new(&req.new_password)?;
    }
    let done = uia::authenticate(&auth, request, &policy(&auth, requester.as_ref())?).await?;
    let req = &done.req;
    match (&requester, done.validation()) {
        (Some(requester), _) => {
            let keep = if req.logout_devices { Keep::Only(&requester.device_id) } else { Keep::All };
            change_password(&auth, &requester.user_id, req.new_password.clone(), keep).await?;
        }
        (None, Some(creds)) => {
            let keep = if req.logout_devices { Keep::None } else { Keep::All };
            reset_password(&auth, creds, req.new_password.clone(), keep, &meta).await?;
        }
        (None, None) => return Err(AuthError::MissingToken),
    }
    Ok(v3::Response::new())
}

fn policy<'a>(auth: &Auth, requester: Option<&'a UserAuth>) -> Result<Policy<'a>, AuthError> {
    match requester {
        Some(requester) if requester.standing.guest => Err(AuthError::Guest),
        Some(requester) => Ok(Policy::password(&requester.user_id)),
        None if auth.config.email.is_enabled() => Ok(Policy {
            flows: vec![vec![Stage::EmailIdentity]],
            user: None,
            purpose: Some(Purpose::Password),
            params_may_change: false,
        }),
        None => Err(AuthError::MissingToken),
    }
}
