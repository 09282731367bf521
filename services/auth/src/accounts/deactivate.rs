//! The end of an account. Its user id is never given to anybody else.
//!
//! In one transaction: the account is marked, its sessions, devices and identifiers go, and the streams tell everybody
//! who has to know. The room service finds the user in `departures` and takes them out of their rooms.

use matrixon_store::{StoreError, Tx};
use ruma::UserId;

use crate::{
    error::AuthError,
    outbox::{self, Outbox},
    sessions::{end, revocations::Revocation},
    state::Auth,
    store::{administration, cross_signing, departures, login_tokens, threepids, user_states},
};

/// Ends an account; one that has ended may still be erased. With `erase`, as much as possible is forgotten, and who comes
/// to a room later gets the account's messages redacted. `M_NOT_FOUND` ← no such user
pub(crate) async fn deactivate(auth: &Auth, user_id: &UserId, erase: bool) -> Result<(), AuthError> {
    let mut tx = auth.db.begin().await?;
    let state = user_states::lock_state(&mut tx, user_id.as_str()).await?;
    let state = state.ok_or_else(|| AuthError::UnknownUser(user_id.to_string()))?;
    if state.deactivated && (state.erased || !erase) {
        return Ok(tx.rollback().await?);
    }
    let outbox = end_account(&mut tx, (user_id, state.id), erase, auth.clock.now_ms()).await?;
    if erase {
        administration::delete_data(&mut tx, state.id).await?;
    }
    outbox::commit(auth, tx, outbox).await?;
    tracing::info!(%user_id, erase, "account deactivated");
    Ok(())
}

/// The same in the caller's transaction, which holds the lock of the account's row (the number).
pub(crate) async fn end_account(
    tx: &mut Tx,
    (user_id, account): (&UserId, i64),
    erase: bool,
    now_ms: i64,
) -> Result<Outbox, StoreError> {
    user_states::deactivate(tx, account, erase).await?;
    departures::insert_departure(tx, user_id.as_str(), now_ms).await?;
    login_tokens::delete_of_account(tx, account).await?;
    threepids::delete_of_account(tx, account).await?;
    for usage in ["master", "self_signing", "user_signing"] {
        cross_signing::delete_key(tx, account, usage).await?;
    }
    let mut outbox = Outbox::from(vec![Revocation::user(user_id)]);
    end::end_all(tx, &mut outbox, user_id).await?;
    outbox.cross_signing_changed(user_id);
    outbox.account_ended(user_id);
    Ok(outbox)
}
