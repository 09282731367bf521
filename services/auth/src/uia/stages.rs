//! The stages that we know, and how each is checked.

use ruma::UserId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{error::AuthError, sessions::login::check_password, state::Auth, store::registration_tokens};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Stage {
    #[serde(rename = "m.login.dummy")]
    Dummy,
    #[serde(rename = "m.login.password")]
    Password,
    #[serde(rename = "m.login.registration_token")]
    RegistrationToken,
}

/// Why a stage failed: it goes into the 401, next to the flows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub errcode: &'static str,
    pub message: &'static str,
}

/// What a completed stage leaves in the session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Proof {
    pub registration_token: Option<String>,
}

impl Stage {
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "m.login.dummy" => Some(Self::Dummy),
            "m.login.password" => Some(Self::Password),
            "m.login.registration_token" => Some(Self::RegistrationToken),
            _ => None,
        }
    }

    /// Checks the members of an `auth` object. The inner error is the client's, the outer one is not.
    pub(super) async fn check(
        self,
        auth: &Auth,
        user: Option<&UserId>,
        members: &Map<String, Value>,
    ) -> Result<Result<Proof, Failure>, AuthError> {
        match self {
            Self::Dummy => Ok(Ok(Proof::default())),
            Self::Password => check_password_stage(auth, user, members).await,
            Self::RegistrationToken => check_registration_token(auth, members).await,
        }
    }
}

/// The password must be that of the user who asks, whatever name the stage gives.
/// `M_FORBIDDEN` ← it is somebody else's
async fn check_password_stage(
    auth: &Auth,
    user: Option<&UserId>,
    members: &Map<String, Value>,
) -> Result<Result<Proof, Failure>, AuthError> {
    const WRONG: Failure = Failure { errcode: "M_FORBIDDEN", message: "Invalid username or password" };
    let Some(Value::String(password)) = members.get("password") else {
        return Ok(Err(Failure { errcode: "M_MISSING_PARAM", message: "`password` is missing" }));
    };
    let Some(name) = name_of(members).or(user.map(UserId::as_str)) else {
        return Ok(Err(Failure { errcode: "M_MISSING_PARAM", message: "`identifier` is missing" }));
    };
    match check_password(auth, Some(name), password.clone()).await {
        Ok(found) if user.is_none_or(|user| user.as_str() == found.user_id) => Ok(Ok(Proof::default())),
        // a stage that somebody else completed is no failed stage: trying again would not help
        Ok(_) => Err(AuthError::Forbidden("this is the password of another user")),
        Err(AuthError::InvalidCredentials | AuthError::UserDeactivated) => Ok(Err(WRONG)),
        Err(error) => Err(error),
    }
}

/// `identifier` of type `m.id.user`, or the member `user` that older clients still send.
fn name_of(members: &Map<String, Value>) -> Option<&str> {
    let identifier = members.get("identifier").and_then(Value::as_object);
    let user = identifier
        .filter(|identifier| identifier.get("type").and_then(Value::as_str) == Some("m.id.user"))
        .and_then(|identifier| identifier.get("user"));
    user.or_else(|| members.get("user")).and_then(Value::as_str)
}

/// Counting the use happens when the account is made, in its transaction.
async fn check_registration_token(
    auth: &Auth,
    members: &Map<String, Value>,
) -> Result<Result<Proof, Failure>, AuthError> {
    let Some(Value::String(token)) = members.get("token") else {
        return Ok(Err(Failure { errcode: "M_MISSING_PARAM", message: "`token` is missing" }));
    };
    if registration_tokens::is_valid(&auth.db, token, auth.clock.now_ms()).await? {
        return Ok(Ok(Proof { registration_token: Some(token.clone()) }));
    }
    Ok(Err(Failure { errcode: "M_UNAUTHORIZED", message: "this registration token is not valid" }))
}
