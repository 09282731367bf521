//! Addresses of an account: shown, added, taken away.

use matrixon_http::RequestMeta;
use matrixon_store::Tx;
use ruma::UserId;

use super::{Credentials, Purpose, ThreepidError, validate};
use crate::{
    error::AuthError,
    state::Auth,
    store::{
        threepids::{self, ThreepidRow},
        users,
    },
};

/// Adds a confirmed address to the account. `M_THREEPID_AUTH_FAILED` ← not confirmed · `M_THREEPID_IN_USE` ← another's
pub(crate) async fn add(
    auth: &Auth,
    user_id: &UserId,
    creds: &Credentials,
    meta: &RequestMeta,
) -> Result<(), AuthError> {
    let account = account_of(auth, user_id).await?;
    let mut tx = auth.db.begin().await?;
    add_in(auth, &mut tx, account, (creds, Purpose::Add), &meta.idempotency_key).await?;
    tx.commit().await?;
    Ok(())
}

/// The same in the caller's transaction.
pub(crate) async fn add_in(
    auth: &Auth,
    tx: &mut Tx,
    account: i64,
    confirmed: (&Credentials, Purpose),
    request: &str,
) -> Result<(), AuthError> {
    let validation = validate::consume(auth, tx, confirmed, request).await?;
    let added_ts = auth.clock.now_ms();
    let row = ThreepidRow {
        medium: validation.medium,
        address: validation.address,
        validated_ts: validation.validated_ts.unwrap_or(added_ts),
        added_ts,
    };
    if threepids::insert_threepid(tx, account, &row).await? != account {
        return Err(ThreepidError::InUse.into());
    }
    Ok(())
}

/// Takes an address away; one that is not there is no error, for the request may come twice.
pub(crate) async fn delete(auth: &Auth, user_id: &UserId, medium: &str, address: &str) -> Result<(), AuthError> {
    let account = account_of(auth, user_id).await?;
    let mut tx = auth.db.begin().await?;
    threepids::delete_threepid(&mut tx, account, medium, address).await?;
    tx.commit().await?;
    Ok(())
}

pub(crate) async fn account_of(auth: &Auth, user_id: &UserId) -> Result<i64, AuthError> {
    let user = users::find_user(&auth.db, user_id.as_str()).await?;
    Ok(user.ok_or_else(|| AuthError::UnknownUser(user_id.to_string()))?.id)
}
