//! The stages that we know, and how each is checked.

use ruma::UserId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    error::AuthError,
    sessions::login::check_password,
    state::Auth,
    store::registration_tokens,
    threepids::{
        Credentials, Purpose,
        validate::{self, Confirmed},
    },
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Stage {
    #[serde(rename = "m.login.dummy")]
    Dummy,
    #[serde(rename = "m.login.password")]
    Password,
    #[serde(rename = "m.login.registration_token")]
    RegistrationToken,
    #[serde(rename = "m.login.email.identity")]
    EmailIdentity,
    #[serde(rename = "m.login.terms")]
    Terms,
    #[serde(rename = "m.login.recaptcha")]
    Recaptcha,
}

/// Why a stage failed: it goes into the 401, next to the flows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub errcode: &'static str,
    pub message: &'static str,
}

/// An address was confirmed, and not made use of in time.
pub(super) const TOO_LONG_AGO: Failure = Failure {
    errcode: "M_THREEPID_AUTH_FAILED",
    message: "the address was confirmed too long ago; it must be confirmed again",
};

/// What a completed stage leaves in the session, to be used up by the operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Proof {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<Credentials>,
}

/// Whose session it is, and what for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Who<'a> {
    pub user: Option<&'a UserId>,
    pub purpose: Option<Purpose>,
}

impl Proof {
    /// What is new is kept beside what was there.
    pub(super) fn merge(&mut self, later: Self) {
        self.registration_token = later.registration_token.or(self.registration_token.take());
        self.validation = later.validation.or(self.validation.take());
    }

    /// Of what several stages have left, what this one has.
    pub(super) fn of(self, stage: Stage) -> Self {
        Self {
            registration_token: self.registration_token.filter(|_| stage == Stage::RegistrationToken),
            validation: self.validation.filter(|_| stage == Stage::EmailIdentity),
        }
    }
}

impl Stage {
    pub(crate) const ALL: [Self; 6] =
        [Self::Dummy, Self::Password, Self::RegistrationToken, Self::EmailIdentity, Self::Terms, Self::Recaptcha];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Dummy => "m.login.dummy",
            Self::Password => "m.login.password",
            Self::RegistrationToken => "m.login.registration_token",
            Self::EmailIdentity => "m.login.email.identity",
            Self::Terms => "m.login.terms",
            Self::Recaptcha => "m.login.recaptcha",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.name() == name)
    }

    /// Checks the members of an `auth` object. The inner error is the client's, the outer one is not.
    pub(super) async fn check(
        self,
        auth: &Auth,
        who: Who<'_>,
        members: &Map<String, Value>,
    ) -> Result<Result<Proof, Failure>, AuthError> {
        match self {
            // whoever says so has read them: which versions, the registration writes down
            Self::Dummy | Self::Terms => Ok(Ok(Proof::default())),
            Self::Password => check_password_stage(auth, who.user, members).await,
            Self::RegistrationToken => check_registration_token(auth, members).await,
            Self::EmailIdentity => check_email(auth, who.purpose, members).await,
            Self::Recaptcha => check_captcha(auth, members).await,
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
        return Ok(Ok(Proof { registration_token: Some(token.clone()), ..Proof::default() }));
    }
    Ok(Err(Failure { errcode: "M_UNAUTHORIZED", message: "this registration token is not valid" }))
}

/// Clients ask again and again until the link has been followed. Using the confirmation up happens with the operation,
/// in its transaction.
async fn check_email(
    auth: &Auth,
    purpose: Option<Purpose>,
    members: &Map<String, Value>,
) -> Result<Result<Proof, Failure>, AuthError> {
    const MISSING: Failure =
        Failure { errcode: "M_MISSING_PARAM", message: "`threepid_creds` with `sid` and `client_secret` is missing" };
    const NOT_YET: Failure = Failure { errcode: "M_UNAUTHORIZED", message: "the address has not been confirmed" };
    // the second spelling is of clients before r0.6
    let creds = members.get("threepid_creds").or_else(|| members.get("threepidCreds"));
    let text = |name: &str| creds.and_then(|creds| creds.get(name)).and_then(Value::as_str).map(str::to_owned);
    let (Some(sid), Some(client_secret)) = (text("sid"), text("client_secret")) else { return Ok(Err(MISSING)) };
    let creds = Credentials { sid, client_secret };
    let Some(purpose) = purpose else { return Ok(Err(NOT_YET)) };
    match validate::find_confirmed(auth, &creds, purpose).await? {
        Some(Confirmed::InTime) => Ok(Ok(Proof { validation: Some(creds), ..Proof::default() })),
        Some(Confirmed::TooLongAgo) => Ok(Err(TOO_LONG_AGO)),
        None => Ok(Err(NOT_YET)),
    }
}

async fn check_captcha(auth: &Auth, members: &Map<String, Value>) -> Result<Result<Proof, Failure>, AuthError> {
    let Some(Value::String(response)) = members.get("response") else {
        return Ok(Err(Failure { errcode: "M_CAPTCHA_NEEDED", message: "`response` is missing" }));
    };
    let Some(captcha) = &auth.captcha else {
        return Ok(Err(Failure { errcode: "M_UNRECOGNIZED", message: "there is no captcha" }));
    };
    match captcha.verify(response).await {
        Ok(true) => Ok(Ok(Proof::default())),
        Ok(false) => Ok(Err(Failure { errcode: "M_CAPTCHA_INVALID", message: "the captcha was not solved" })),
        Err(error) => {
            tracing::warn!(%error, "a captcha");
            Err(AuthError::ThirdPartyAway("the captcha cannot be verified right now"))
        }
    }
}
