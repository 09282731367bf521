//! Accounts: list, look, make; and the operations that are one [`Change`] each.

use matrixon_http::MatrixError;
use matrixon_proto::admin::v1::{
    CreateUserRequest, DeactivateUserRequest, DeleteDevicesRequest, Device, ListDevicesResponse, ListUsersRequest,
    ListUsersResponse, ReactivateUserRequest, ResetPasswordRequest, User, UserRequest,
};
use ruma::OwnedUserId;

use super::{
    change::{Change, change},
    check_texts, decode_page, encode_page,
    find::{find, to_message},
    page_size,
};
use crate::{
    accounts::localpart,
    audit::{self, Caller, Entry},
    error::AuthError,
    outbox::Outbox,
    state::Auth,
    store::{
        administration::{self, Wanted},
        devices, registration_tokens,
        users::{self, NewUser},
    },
};

/// Longer names are refused, as they are to users themselves.
pub(super) const MAX_DISPLAYNAME_CHARS: usize = 256;

pub(crate) async fn list(auth: Auth, _: Caller, request: ListUsersRequest) -> Result<ListUsersResponse, MatrixError> {
    let size = page_size(request.page_size);
    check_texts([request.prefix.as_str()])?;
    let prefix = format!("@{}", request.prefix.strip_prefix('@').unwrap_or(&request.prefix));
    // the least text after the last user id of the page before
    let next = if request.page_token.is_empty() { String::new() } else { decode_page(&request.page_token)? + "\u{1}" };
    let wanted = Wanted {
        from: next.as_str().max(&prefix),
        // greater than whatever begins with the prefix
        before: &format!("{prefix}\u{10ffff}"),
        admin: request.admin,
        deactivated: request.deactivated,
        locked: request.locked,
        suspended: request.suspended,
    };
    let mut rows = administration::list_accounts(&auth.db, &wanted, size as i64 + 1).await.map_err(AuthError::from)?;
    let more = rows.len() > size;
    rows.truncate(size);
    let next_page_token = rows.last().filter(|_| more).map(|row| encode_page(&row.user_id)).unwrap_or_default();
    Ok(ListUsersResponse { users: rows.into_iter().map(to_message).collect(), next_page_token })
}

pub(crate) async fn get(auth: Auth, _: Caller, request: UserRequest) -> Result<User, MatrixError> {
    Ok(find(&auth, &request.user).await?)
}

pub(crate) async fn create(auth: Auth, caller: Caller, request: CreateUserRequest) -> Result<User, MatrixError> {
    let user_id = localpart::build_user_id(&request.username, &auth.server_name);
    let target = user_id.as_ref().map_or_else(|_| request.username.clone(), ToString::to_string);
    let entry = Entry::new("user.create", target).with("admin", request.admin);
    match insert(&auth, (&caller, &entry), user_id, request).await {
        Ok(user_id) => Ok(find(&auth, user_id.as_str()).await?),
        Err(error) => Err(audit::refused(&auth, (&caller, &entry), error).await),
    }
}

async fn insert(
    auth: &Auth,
    record: (&Caller, &Entry),
    user_id: Result<OwnedUserId, AuthError>,
    request: CreateUserRequest,
) -> Result<OwnedUserId, AuthError> {
    let user_id = user_id?;
    let displayname = request.displayname.as_deref().unwrap_or(user_id.localpart());
    check_displayname(displayname)?;
    let hash = hash_new(auth, request.password.as_deref()).await?;
    let mut tx = auth.db.begin().await?;
    if audit::is_done(&mut tx, record.0, record.1).await? {
        return Ok(user_id);
    }
    let row = NewUser {
        user_id: user_id.as_str(),
        password_hash: hash.as_deref(),
        admin: request.admin,
        displayname: Some(displayname).filter(|name| !name.is_empty()),
        created_ts: auth.clock.now_ms(),
        created_by_request: None,
    };
    users::insert_user(&mut tx, &row).await?.ok_or(AuthError::UserInUse)?;
    if request.admin {
        registration_tokens::delete_bootstrap_token(&mut tx).await?;
    }
    let mut outbox = Outbox::default();
    outbox.account_made(&user_id);
    audit::commit(auth, tx, record, outbox).await?;
    Ok(user_id)
}

/// `M_INVALID_PARAM` ← NUL, or too long
pub(super) fn check_displayname(name: &str) -> Result<(), AuthError> {
    check_texts([name])?;
    if name.chars().count() > MAX_DISPLAYNAME_CHARS {
        return Err(AuthError::InvalidParam(format!("a display name has at most {MAX_DISPLAYNAME_CHARS} characters")));
    }
    Ok(())
}

/// `M_WEAK_PASSWORD`, `M_INVALID_PARAM` ← against the rules
async fn hash_new(auth: &Auth, password: Option<&str>) -> Result<Option<String>, AuthError> {
    let Some(password) = password else { return Ok(None) };
    auth.passwords.check_new(password)?;
    auth.passwords.hash(password.to_owned()).await.map(Some)
}

pub(crate) async fn reset_password(
    auth: Auth,
    caller: Caller,
    request: ResetPasswordRequest,
) -> Result<User, MatrixError> {
    let hash = hash_new(&auth, Some(&request.password)).await;
    let change_to = hash.map(|hash| Change::ResetPassword { hash, keep_sessions: request.keep_sessions });
    match change_to {
        Ok(change_to) => change(&auth, &caller, &request.user, change_to).await,
        Err(error) => {
            let entry = Entry::new("user.reset-password", request.user);
            Err(audit::refused(&auth, (&caller, &entry), error).await)
        }
    }
}

pub(crate) async fn promote(auth: Auth, caller: Caller, request: UserRequest) -> Result<User, MatrixError> {
    change(&auth, &caller, &request.user, Change::Promote).await
}

pub(crate) async fn demote(auth: Auth, caller: Caller, request: UserRequest) -> Result<User, MatrixError> {
    change(&auth, &caller, &request.user, Change::Demote).await
}

pub(crate) async fn lock(auth: Auth, caller: Caller, request: UserRequest) -> Result<User, MatrixError> {
    change(&auth, &caller, &request.user, Change::Lock).await
}

pub(crate) async fn unlock(auth: Auth, caller: Caller, request: UserRequest) -> Result<User, MatrixError> {
    change(&auth, &caller, &request.user, Change::Unlock).await
}

pub(crate) async fn suspend(auth: Auth, caller: Caller, request: UserRequest) -> Result<User, MatrixError> {
    change(&auth, &caller, &request.user, Change::Suspend).await
}

pub(crate) async fn unsuspend(auth: Auth, caller: Caller, request: UserRequest) -> Result<User, MatrixError> {
    change(&auth, &caller, &request.user, Change::Unsuspend).await
}

pub(crate) async fn deactivate(
    auth: Auth,
    caller: Caller,
    request: DeactivateUserRequest,
) -> Result<User, MatrixError> {
    change(&auth, &caller, &request.user, Change::Deactivate { erase: request.erase }).await
}

pub(crate) async fn reactivate(
    auth: Auth,
    caller: Caller,
    request: ReactivateUserRequest,
) -> Result<User, MatrixError> {
    match hash_new(&auth, request.password.as_deref()).await {
        Ok(hash) => change(&auth, &caller, &request.user, Change::Reactivate { hash }).await,
        Err(error) => {
            let entry = Entry::new("user.reactivate", request.user);
            Err(audit::refused(&auth, (&caller, &entry), error).await)
        }
    }
}

pub(crate) async fn erase(auth: Auth, caller: Caller, request: UserRequest) -> Result<User, MatrixError> {
    change(&auth, &caller, &request.user, Change::Erase).await
}

pub(crate) async fn delete(auth: Auth, caller: Caller, request: UserRequest) -> Result<User, MatrixError> {
    change(&auth, &caller, &request.user, Change::Delete).await
}

pub(crate) async fn logout(auth: Auth, caller: Caller, request: UserRequest) -> Result<User, MatrixError> {
    change(&auth, &caller, &request.user, Change::Logout).await
}

pub(crate) async fn list_devices(
    auth: Auth,
    _: Caller,
    request: UserRequest,
) -> Result<ListDevicesResponse, MatrixError> {
    let user = find(&auth, &request.user).await?;
    Ok(load_devices(&auth, &user.user_id).await?)
}

pub(crate) async fn delete_devices(
    auth: Auth,
    caller: Caller,
    request: DeleteDevicesRequest,
) -> Result<ListDevicesResponse, MatrixError> {
    check_texts(request.device_ids.iter().map(String::as_str))?;
    let user = change(&auth, &caller, &request.user, Change::DeleteDevices(request.device_ids)).await?;
    Ok(load_devices(&auth, &user.user_id).await?)
}

async fn load_devices(auth: &Auth, user_id: &str) -> Result<ListDevicesResponse, AuthError> {
    let devices = devices::list_devices(&auth.db, user_id).await?.into_iter().map(|row| Device {
        device_id: row.device_id,
        display_name: row.display_name,
        last_seen_ts: row.last_seen_ts,
        last_seen_ip: row.last_seen_ip,
    });
    Ok(ListDevicesResponse { devices: devices.collect() })
}
