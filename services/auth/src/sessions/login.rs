//! Log-in with a password or a token.

use matrixon_http::RequestMeta;
use ruma::OwnedUserId;

use super::{
    attempts::Attempts,
    login_tokens::use_login_token,
    start::{DeviceWish, Session, start_session},
};
use crate::{
    accounts::{
        localpart::{self, Meant},
        password::Verdict,
    },
    error::AuthError,
    metrics,
    outbox::{self, Outbox},
    state::Auth,
    store::users::{self, UserRow},
    threepids::bind::canonical_form,
};

/// Whom a log-in names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// A localpart or a full user id: as it is written, or else in small letters.
    User(String),
    ThirdParty {
        medium: String,
        address: String,
    },
    /// By something that no account here has, such as a telephone number.
    Nobody,
}

/// What a client shows to log in.
pub(crate) enum Credentials {
    Password { named: Named, password: String },
    Token(String),
}

/// `M_FORBIDDEN` ← unknown user or wrong password, after the same time; or a token that is not good (any more) ·
/// `M_USER_DEACTIVATED` ← the account has ended · `M_USER_LOCKED` ← it is locked, both only after the right password ·
/// `M_LIMIT_EXCEEDED` ← too many attempts for this account, or too many passwords are being checked
pub(crate) async fn login(
    auth: &Auth,
    credentials: Credentials,
    wish: DeviceWish,
    meta: &RequestMeta,
) -> Result<Session, AuthError> {
    wish.check()?;
    let session = match credentials {
        Credentials::Password { named, password } => by_password(auth, &named, password, wish, meta).await,
        Credentials::Token(token) => by_token(auth, &token, wish, meta).await,
    };
    let session = session.inspect_err(metrics::count_login_failure)?;
    metrics::count_login("success");
    Ok(session)
}

async fn by_password(
    auth: &Auth,
    named: &Named,
    password: String,
    wish: DeviceWish,
    meta: &RequestMeta,
) -> Result<Session, AuthError> {
    let user = check_named_password(auth, named, password).await?;
    let user_id = owned_user_id(&user)?;
    let (mut tx, mut outbox) = (auth.db.begin().await?, Outbox::default());
    let session = start_session(auth, &mut tx, &mut outbox, (user.id, user_id), wish, meta).await?;
    outbox::commit(auth, tx, outbox).await?;
    Ok(session)
}

async fn by_token(auth: &Auth, token: &str, wish: DeviceWish, meta: &RequestMeta) -> Result<Session, AuthError> {
    let (mut tx, mut outbox) = (auth.db.begin().await?, Outbox::default());
    let user_id = use_login_token(auth, &mut tx, token, meta).await?;
    let user = users::get_user(&mut tx, &user_id).await?;
    check_active(&user)?;
    let user_id = owned_user_id(&user)?;
    let session = start_session(auth, &mut tx, &mut outbox, (user.id, user_id), wish, meta).await?;
    outbox::commit(auth, tx, outbox).await?;
    Ok(session)
}

/// [`check_named_password`] of a user id or localpart; none: of nobody.
pub(crate) async fn check_password(auth: &Auth, name: Option<&str>, password: String) -> Result<UserRow, AuthError> {
    let named = name.map_or(Named::Nobody, |name| Named::User(name.to_owned()));
    check_named_password(auth, &named, password).await
}

/// Finds the account that a name means and checks its password; a hash of an old cost is renewed. Errors: see [`login`].
pub(crate) async fn check_named_password(auth: &Auth, named: &Named, password: String) -> Result<UserRow, AuthError> {
    let (user, name) = find_user(auth, named).await?;
    let attempts = Attempts::of(&name);
    attempts.take(auth).await?;
    let hash = user.as_ref().and_then(|user| user.password_hash.clone());
    let verdict = auth.passwords.verify(password.clone(), hash.clone()).await?;
    let user = user.ok_or(AuthError::InvalidCredentials)?;
    if verdict == Verdict::Wrong {
        return Err(AuthError::InvalidCredentials);
    }
    check_active(&user)?;
    attempts.forgive(auth).await;
    if let (Verdict::RightButStale, Some(old)) = (verdict, hash) {
        let new = auth.passwords.hash(password).await?;
        users::replace_password_hash(&auth.db, user.id, &old, &new).await?;
    }
    Ok(user)
}

fn check_active(user: &UserRow) -> Result<(), AuthError> {
    if user.deactivated {
        return Err(AuthError::UserDeactivated);
    }
    if user.locked { Err(AuthError::UserLocked) } else { Ok(()) }
}

/// The account, and the name under which its attempts are counted. One statement whether there is an account or not: the
/// time that it takes tells nothing.
async fn find_user(auth: &Auth, named: &Named) -> Result<(Option<UserRow>, String), AuthError> {
    let (user, name) = match named {
        Named::User(name) => match localpart::find_meant(name, &auth.server_name) {
            Some(Meant { exact, small }) => {
                let user = users::find_either(&auth.db, exact.as_str(), small.as_str()).await?;
                // however it is written, an unknown name has one bucket, as a known one has
                (user, small.to_string())
            }
            None => (None, name.clone()),
        },
        Named::ThirdParty { medium, address } => {
            let address = canonical_form(medium, address);
            (users::find_by_address(&auth.db, medium, &address).await?, format!("{medium}:{address}"))
        }
        Named::Nobody => (None, String::new()),
    };
    let name = user.as_ref().map_or(name, |user| user.user_id.clone());
    Ok((user, name))
}

pub(crate) fn owned_user_id(user: &UserRow) -> Result<OwnedUserId, AuthError> {
    OwnedUserId::try_from(user.user_id.as_str())
        .map_err(|_| AuthError::Internal(format!("`{}` in table users is not a user id", user.user_id)))
}
