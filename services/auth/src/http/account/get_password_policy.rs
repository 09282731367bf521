//! `GET /_matrix/client/{v3,r0,unstable}/password_policy` —
//! [MSC2000](https://github.com/matrix-org/matrix-spec-proposals/pull/2000)

use axum::extract::State;
use matrixon_http::{NoAuth, Raw, RawJson};

use crate::{error::AuthError, http::to_json, state::Auth};

#[tracing::instrument(name = "auth.http.account.get_password_policy", skip_all)]
pub(crate) async fn handler(State(auth): State<Auth>, _: Raw<NoAuth>) -> Result<RawJson, AuthError> {
    Ok(RawJson(to_json(&auth.passwords.policy())?))
}
