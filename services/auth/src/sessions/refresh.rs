//! Refreshing: a new generation of tokens for the same device.
//!
//! The old refresh token stays good until the new access or refresh token is first used: an answer that was lost on the
//! way costs nothing, the client (or the gateway) simply asks again, and the generation nobody used is forgotten.
//!
//! After that it is spent. Whoever shows a spent one has a copy, or the client has: nobody can tell them apart, so the
//! session ends softly. Its device stays, for its owner to log in to again.

use matrixon_http::RequestMeta;
use matrixon_store::Tx;

use super::{
    authenticate::end_generation,
    revocations::Revocation,
    start::{Generation, Wish, insert_generation},
    tokens::hash_token,
};
use crate::{
    error::AuthError,
    outbox,
    state::Auth,
    store::{access_tokens, refresh_tokens, spent_refresh_tokens},
};

/// `M_UNKNOWN_TOKEN` ← nobody has this refresh token; with `soft_logout` ← its successor is in use, and the session ends
/// now · `M_USER_LOCKED` ← the account is locked
pub(crate) async fn refresh(auth: &Auth, refresh_token: &str, meta: &RequestMeta) -> Result<Generation, AuthError> {
    let mut tx = auth.db.begin().await?;
    let token_sha256 = hash_token(refresh_token);
    refresh_tokens::lock_device_of(&mut tx, &token_sha256).await?;
    let Some(row) = refresh_tokens::find_refresh_token(&mut tx, &token_sha256).await? else {
        return Err(refuse(auth, tx, &token_sha256, meta).await?);
    };
    if row.deactivated {
        return Err(AuthError::UnknownToken { soft_logout: false });
    }
    if row.locked {
        return Err(AuthError::UserLocked);
    }
    let mut revoked = Vec::new();
    if let Some(replaced) = row.replaces {
        revoked = end_generation(auth, &mut tx, replaced, &row.user_id, &row.device_id).await?;
    }
    access_tokens::delete_replacing(&mut tx, row.id).await?;
    refresh_tokens::delete_replacing(&mut tx, row.id).await?;
    let wish = Wish { refreshable: true, replaces: Some(row.id), request: meta.idempotency_key.as_str() };
    let generation = insert_generation(auth, &mut tx, row.device, wish).await?;
    outbox::commit(auth, tx, revoked.into()).await?;
    Ok(generation)
}

/// Why a token that is not good is not; a spent one ends its session.
async fn refuse(auth: &Auth, mut tx: Tx, token_sha256: &[u8], meta: &RequestMeta) -> Result<AuthError, AuthError> {
    let Some(spent) = spent_refresh_tokens::find_spent(&mut tx, token_sha256).await? else {
        return Ok(AuthError::UnknownToken { soft_logout: false });
    };
    let refused = AuthError::UnknownToken { soft_logout: true };
    if spent.request.as_deref().is_some_and(|request| !request.is_empty() && request == meta.idempotency_key) {
        return Ok(refused); // the refresh that spent it, arriving late
    }
    tracing::warn!(user_id = spent.user_id, device_id = spent.device_id, "a spent refresh token was shown again");
    spent_refresh_tokens::spend_all(&mut tx, spent.device, auth.clock.now_ms()).await?;
    access_tokens::expire_tokens_of_device(&mut tx, spent.device).await?;
    let revocation = Revocation::token(&spent.user_id, &spent.device_id, Vec::new());
    outbox::commit(auth, tx, vec![revocation].into()).await?;
    Ok(refused)
}
