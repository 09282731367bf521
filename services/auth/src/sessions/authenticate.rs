//! Who holds an access token?

use std::net::IpAddr;

use matrixon_store::Tx;

use super::{revocations::Revocation, tokens::hash_token};
use crate::{
    error::AuthError,
    outbox,
    state::Auth,
    store::{
        access_tokens::{self, Holder},
        devices, refresh_tokens, spent_refresh_tokens,
    },
};

/// `M_UNKNOWN_TOKEN` ← nobody holds it; with `soft_logout` ← it has expired, the session can go on
pub(crate) async fn authenticate(
    auth: &Auth,
    access_token: &str,
    from: Option<IpAddr>,
    user_agent: Option<&str>,
) -> Result<Holder, AuthError> {
    let token_sha256 = hash_token(access_token);
    let holder = access_tokens::find_holder(&auth.db, &token_sha256).await?;
    let Some(holder) = holder.filter(|holder| !holder.deactivated) else {
        return Err(AuthError::UnknownToken { soft_logout: false });
    };
    let now_ms = auth.clock.now_ms();
    if holder.expires_ts.is_some_and(|expires_ts| expires_ts <= now_ms) {
        return Err(AuthError::UnknownToken { soft_logout: true });
    }
    if let Some(replaced) = holder.replaces {
        let mut tx = auth.db.begin().await?;
        devices::lock_device(&mut tx, holder.device).await?;
        let revoked = end_generation(auth, &mut tx, replaced, &holder.user_id, &holder.device_id).await?;
        outbox::commit(auth, tx, revoked.into()).await?;
    }
    auth.last_seen.note(holder.device, now_ms, from, user_agent);
    Ok(holder)
}

/// The next generation of tokens has been used: the one before it ends. Only the first caller finds something to end.
pub(crate) async fn end_generation(
    auth: &Auth,
    tx: &mut Tx,
    refresh: i64,
    user_id: &str,
    device_id: &str,
) -> Result<Vec<Revocation>, AuthError> {
    spent_refresh_tokens::spend(tx, refresh, auth.clock.now_ms()).await?;
    if !refresh_tokens::delete_refresh_token(tx, refresh).await? {
        return Ok(Vec::new());
    }
    let ended = access_tokens::delete_by_refresh(tx, refresh).await?;
    access_tokens::clear_replacing(tx, refresh).await?;
    refresh_tokens::clear_replacing(tx, refresh).await?;
    Ok(ended.into_iter().map(|token_sha256| Revocation::token(user_id, device_id, token_sha256)).collect())
}
