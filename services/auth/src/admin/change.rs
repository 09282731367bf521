//! A change of one account, by whatever door it came.

use matrixon_http::MatrixError;
use matrixon_proto::admin::v1::User;
use matrixon_store::Tx;
use ruma::{OwnedUserId, UserId};

use super::find::{find, named};
use crate::{
    accounts::deactivate::end_account,
    audit::{self, Caller, Entry},
    error::AuthError,
    outbox::Outbox,
    sessions::{end::end_all, revocations::Revocation},
    state::Auth,
    store::{
        administration, departures, devices, registration_tokens,
        user_states::{self, Flag, UserState},
        users,
    },
    threepids::bind,
};

pub(crate) enum Change {
    Promote,
    Demote,
    ResetPassword {
        /// None: no log-in with a password any more.
        hash: Option<String>,
        keep_sessions: bool,
    },
    Lock,
    Unlock,
    Suspend,
    Unsuspend,
    Deactivate {
        erase: bool,
    },
    Reactivate {
        hash: Option<String>,
    },
    Erase,
    Delete,
    Logout,
    DeleteDevices(Vec<String>),
}

impl Change {
    fn ends_account(&self) -> bool {
        matches!(self, Self::Deactivate { .. } | Self::Erase | Self::Delete)
    }

    /// What the audit log says of it.
    pub(crate) fn entry(&self, target: String) -> Entry {
        match self {
            Self::Promote => Entry::new("user.promote", target),
            Self::Demote => Entry::new("user.demote", target),
            Self::ResetPassword { keep_sessions, .. } => {
                Entry::new("user.reset-password", target).with("keep_sessions", *keep_sessions)
            }
            Self::Lock => Entry::new("user.lock", target),
            Self::Unlock => Entry::new("user.unlock", target),
            Self::Suspend => Entry::new("user.suspend", target),
            Self::Unsuspend => Entry::new("user.unsuspend", target),
            Self::Deactivate { erase } => Entry::new("user.deactivate", target).with("erase", *erase),
            Self::Reactivate { hash } => Entry::new("user.reactivate", target).with("with_password", hash.is_some()),
            Self::Erase => Entry::new("user.erase", target),
            Self::Delete => Entry::new("user.delete", target),
            Self::Logout => Entry::new("user.logout", target),
            Self::DeleteDevices(device_ids) => {
                let shown: Vec<&str> = device_ids.iter().take(MAX_SHOWN).map(String::as_str).collect();
                Entry::new("user.delete-device", target).with("device_ids", shown).with("count", device_ids.len())
            }
        }
    }
}

/// Devices that a record names.
const MAX_SHOWN: usize = 10;

/// Changes the account and records it. Returns the account as it is then. `M_NOT_FOUND` ← no such user
pub(crate) async fn change(auth: &Auth, caller: &Caller, name: &str, change: Change) -> Result<User, MatrixError> {
    let user_id = named(auth, name).await;
    let entry = change.entry(user_id.as_ref().map_or_else(|_| name.to_owned(), ToString::to_string));
    if let (Ok(user_id), true) = (&user_id, change.ends_account()) {
        forget_bindings(auth, user_id).await;
    }
    match run(auth, (caller, &entry), user_id, change).await {
        Ok(()) => Ok(find(auth, name).await?),
        Err(error) => Err(audit::refused(auth, (caller, &entry), error).await),
    }
}

/// While it is still known what was bound, and where; an identity server that is away holds nobody up.
async fn forget_bindings(auth: &Auth, user_id: &UserId) {
    match bind::unbind_all(auth, user_id, None).await {
        Ok(_) | Err(AuthError::UnknownUser(_)) => {}
        Err(error) => tracing::warn!(%user_id, %error, "identity servers were not told of the end of an account"),
    }
}

async fn run(
    auth: &Auth,
    record: (&Caller, &Entry),
    user_id: Result<OwnedUserId, AuthError>,
    change: Change,
) -> Result<(), AuthError> {
    let user_id = user_id?;
    let mut tx = auth.db.begin().await?;
    if audit::is_done(&mut tx, record.0, record.1).await? {
        return Ok(());
    }
    let state = user_states::lock_state(&mut tx, user_id.as_str()).await?;
    let state = state.ok_or_else(|| AuthError::UnknownUser(user_id.to_string()))?;
    let outbox = apply(&mut tx, (&user_id, &state), change, auth.clock.now_ms()).await?;
    audit::commit(auth, tx, record, outbox).await?;
    Ok(())
}

/// What the streams must tell. Every change that concerns sessions revokes what gateways know of the account.
async fn apply(
    tx: &mut Tx,
    (user_id, state): (&OwnedUserId, &UserState),
    change: Change,
    now_ms: i64,
) -> Result<Outbox, AuthError> {
    let (id, account) = (user_id.as_str(), (&**user_id, state.id));
    let mut outbox = Outbox::default();
    match change {
        Change::Promote | Change::ResetPassword { .. } if state.deactivated => return Err(AuthError::UserDeactivated),
        Change::Reactivate { .. } if !state.deactivated => {
            return Err(AuthError::InvalidParam("this account is not deactivated".to_owned()));
        }
        Change::Promote => {
            administration::update_admin(tx, id, true).await?;
            registration_tokens::delete_bootstrap_token(tx).await?;
            outbox.revoke(Revocation::user(user_id));
        }
        Change::Demote => {
            administration::update_admin(tx, id, false).await?;
            outbox.revoke(Revocation::user(user_id));
        }
        Change::ResetPassword { hash, keep_sessions } => {
            if let Some(hash) = hash {
                users::update_password_hash(tx, id, &hash).await?;
            }
            if !keep_sessions {
                end_all(tx, &mut outbox, user_id).await?;
            }
        }
        Change::Lock | Change::Unlock => {
            user_states::set_flag(tx, id, Flag::Locked, matches!(change, Change::Lock)).await?;
            outbox.revoke(Revocation::user(user_id));
        }
        Change::Suspend | Change::Unsuspend => {
            user_states::set_flag(tx, id, Flag::Suspended, matches!(change, Change::Suspend)).await?;
            outbox.revoke(Revocation::user(user_id));
        }
        Change::Deactivate { erase } => outbox = end_account(tx, account, erase, now_ms).await?,
        Change::Reactivate { hash } => {
            administration::reactivate(tx, id, hash.as_deref()).await?;
            departures::cancel_departure(tx, id).await?;
            outbox.account_made(user_id);
        }
        Change::Erase => outbox = end_account(tx, account, true, now_ms).await?,
        Change::Delete => {
            outbox = end_account(tx, account, true, now_ms).await?;
            administration::delete_data(tx, state.id).await?;
        }
        Change::Logout => end_all(tx, &mut outbox, user_id).await?,
        Change::DeleteDevices(device_ids) => {
            let wanted: Vec<&str> = device_ids.iter().map(String::as_str).collect();
            let ended = devices::delete_devices(tx, id, &wanted).await?;
            if ended.is_empty() {
                return Err(AuthError::UnknownDevice);
            }
            outbox.devices_deleted(user_id, &ended);
        }
    }
    Ok(outbox)
}
