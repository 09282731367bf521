//! `POST /_matrix/client/*/keys/claim` —
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysclaim>
//!
//! Errors: `M_INVALID_PARAM` ← more than 5,000 keys

use axum::extract::State;
use matrixon_http::{Matrix, RawJson, UserAuth};
use ruma::api::client::keys::claim_keys::v3;

use crate::{error::AuthError, keys::claim::claim, state::Auth};

#[tracing::instrument(name = "auth.http.keys.claim_keys", skip_all)]
pub(crate) async fn handler(
    State(auth): State<Auth>,
    Matrix { req, meta, .. }: Matrix<v3::Request, UserAuth>,
) -> Result<RawJson, AuthError> {
    Ok(RawJson(claim(&auth, &req.one_time_keys, &meta.idempotency_key).await?))
}
