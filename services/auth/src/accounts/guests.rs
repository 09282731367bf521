//! Guest accounts, and how they become full ones.
//! <https://spec.matrix.org/v1.19/client-server-api/#guest-access>

use matrixon_http::RequestMeta;
use ruma::OwnedUserId;

use super::{
    create::{self, request_key},
    localpart,
};
use crate::{
    error::AuthError,
    outbox::{self, Outbox},
    sessions::{
        self,
        start::{DeviceWish, Session, start_session},
    },
    state::Auth,
    store::{
        user_states,
        users::{self, NewUser},
    },
};

/// Makes a guest account with a session. Of what a client may wish, only the name of its device counts.
///
/// `M_FORBIDDEN` ← this server has no guests · `M_TOO_LARGE` ← a device name over 100 characters
pub(crate) async fn create_guest(
    auth: &Auth,
    device_name: Option<String>,
    meta: &RequestMeta,
) -> Result<(OwnedUserId, Option<Session>), AuthError> {
    if !auth.config.guest_registration {
        return Err(AuthError::NoGuests);
    }
    let device = DeviceWish { display_name: device_name, ..DeviceWish::default() };
    device.check()?;
    if let Some(done) = create::resume_account(auth, Some(device.clone()), meta).await? {
        return Ok(done);
    }
    let user_id = localpart::generate_user_id(&auth.server_name)?;
    let row = NewUser {
        user_id: user_id.as_str(),
        password_hash: None,
        admin: false,
        displayname: Some(user_id.localpart()),
        created_ts: auth.clock.now_ms(),
        created_by_request: request_key(meta),
    };
    let (mut tx, mut outbox) = (auth.db.begin().await?, Outbox::default());
    let Some(account) = users::insert_user(&mut tx, &row).await? else {
        tx.rollback().await?;
        // an earlier attempt at this request, thought dead, has finished meanwhile
        return create::resume_account(auth, Some(device), meta).await?.ok_or(AuthError::UserInUse);
    };
    user_states::set_guest(&mut tx, account).await?;
    let session = start_session(auth, &mut tx, &mut outbox, (account, user_id.clone()), device, meta).await?;
    outbox.account_made(&user_id);
    outbox::commit(auth, tx, outbox).await?;
    Ok((user_id, Some(session)))
}

/// The guest that a client wants to make a full account of: who holds the token, under the name that it has.
///
/// `M_FORBIDDEN` ← nobody's token, no guest's, or another guest's · `M_MISSING_PARAM` ← no `username`
pub(crate) async fn find_upgrade(
    auth: &Auth,
    guest_access_token: &str,
    username: Option<&str>,
) -> Result<OwnedUserId, AuthError> {
    const REFUSED: AuthError = AuthError::Forbidden("this is not the access token of that guest");
    let username = username.ok_or(AuthError::MissingParam("`username` is missing"))?;
    let named = localpart::build_user_id(username, &auth.server_name)?;
    match sessions::authenticate::authenticate(auth, guest_access_token, None, None).await {
        Ok(holder) if holder.guest && holder.user_id == named => Ok(named),
        Ok(_) | Err(AuthError::UnknownToken { .. }) => Err(REFUSED),
        Err(error) => Err(error),
    }
}
