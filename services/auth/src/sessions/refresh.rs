//! Refreshing: a new generation of tokens for the same device.
//!
//! The old refresh token stays good until the new access or refresh token is first used: an answer that was lost on the
//! way costs nothing, the client (or the gateway) simply asks again, and the generation nobody used is forgotten.

use super::{
    authenticate::end_generation,
    start::{Generation, insert_generation},
    tokens::hash_token,
};
use crate::{
    error::AuthError,
    outbox,
    state::Auth,
    store::{access_tokens, refresh_tokens},
};

/// `M_UNKNOWN_TOKEN` ← nobody has this refresh token, or its successor is in use
pub(crate) async fn refresh(auth: &Auth, refresh_token: &str) -> Result<Generation, AuthError> {
    let mut tx = auth.db.begin().await?;
    let token_sha256 = hash_token(refresh_token);
    refresh_tokens::lock_device_of(&mut tx, &token_sha256).await?;
    let row = refresh_tokens::find_refresh_token(&mut tx, &token_sha256).await?;
    let Some(row) = row.filter(|row| !row.deactivated) else {
        return Err(AuthError::UnknownToken { soft_logout: false });
    };
    let mut revoked = Vec::new();
    if let Some(replaced) = row.replaces {
        revoked = end_generation(&mut tx, replaced, &row.user_id, &row.device_id).await?;
    }
    access_tokens::delete_replacing(&mut tx, row.id).await?;
    refresh_tokens::delete_replacing(&mut tx, row.id).await?;
    let generation = insert_generation(auth, &mut tx, row.device, true, Some(row.id)).await?;
    outbox::commit(auth, tx, revoked.into()).await?;
    Ok(generation)
}
