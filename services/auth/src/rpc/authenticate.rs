//! `Authenticate`: who holds an access token, and since which revocation that is known.

use matrixon_proto::auth::v1::{AuthenticateRequest, AuthenticateResponse};

use crate::{error::AuthError, sessions, state::Auth};

/// `M_UNKNOWN_TOKEN` ← nobody holds it; with `soft_logout` ← it has expired
#[tracing::instrument(name = "auth.rpc.authenticate", skip_all)]
pub(crate) async fn authenticate(auth: &Auth, request: AuthenticateRequest) -> Result<AuthenticateResponse, AuthError> {
    let holder = {
        let from = request.remote_addr.parse().ok();
        let user_agent = Some(request.user_agent.as_str()).filter(|agent| !agent.is_empty());
        sessions::authenticate::authenticate(auth, &request.access_token, from, user_agent).await?
    };
    Ok(AuthenticateResponse {
        user_id: holder.user_id,
        device_id: holder.device_id,
        admin: holder.admin,
        expires_at_ms: holder.expires_ts.unwrap_or(0),
        revocations_position: holder.position,
        guest: holder.guest,
        suspended: holder.suspended,
        locked: holder.locked,
    })
}
