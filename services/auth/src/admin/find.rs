//! The account that a name means.

use matrixon_proto::admin::v1::User;
use ruma::OwnedUserId;

use crate::{
    accounts::localpart::{self, Meant},
    error::AuthError,
    state::Auth,
    store::{
        administration::{self, AccountRow},
        users,
    },
};

/// `M_NOT_FOUND` ← no such user
pub(super) async fn find(auth: &Auth, name: &str) -> Result<User, AuthError> {
    let user_id = named(auth, name).await?;
    let row = administration::find_account(&auth.db, user_id.as_str()).await?;
    row.map(to_message).ok_or_else(|| AuthError::UnknownUser(user_id.to_string()))
}

/// Whom a log-in of this name would mean. `M_NOT_FOUND` ← surely no user of ours
pub(super) async fn named(auth: &Auth, name: &str) -> Result<OwnedUserId, AuthError> {
    let meant = localpart::find_meant(name, &auth.server_name);
    let Meant { exact, small } = meant.ok_or_else(|| AuthError::UnknownUser(name.to_owned()))?;
    let historical = exact != small && users::find_user(&auth.db, exact.as_str()).await?.is_some();
    Ok(if historical { exact } else { small })
}

pub(super) fn to_message(row: AccountRow) -> User {
    User {
        user_id: row.user_id,
        admin: row.admin,
        deactivated: row.deactivated,
        locked: row.locked,
        suspended: row.suspended,
        erased: row.erased,
        guest: row.guest,
        has_password: row.has_password,
        displayname: row.displayname,
        avatar_url: row.avatar_url,
        created_ts: row.created_ts,
        last_seen_ts: row.last_seen_ts,
        devices: u32::try_from(row.devices).unwrap_or(u32::MAX),
        emails: row.emails.split(' ').filter(|one| !one.is_empty()).map(str::to_owned).collect(),
    }
}
