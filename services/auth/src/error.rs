//! What the auth service refuses, and how a client sees it.

use http::StatusCode;
use matrixon_http::MatrixError;
use matrixon_store::StoreError;

use crate::{threepids::ThreepidError, uia::Challenge};

#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    #[error("this user id is taken")]
    UserInUse,
    #[error("{0}")]
    InvalidUsername(&'static str),
    #[error("registration is not open on this server")]
    RegistrationClosed,
    #[error("this server has no guest accounts")]
    NoGuests,
    #[error("the registration token is not valid any more")]
    RegistrationTokenSpent,
    #[error("Invalid username or password")]
    InvalidCredentials,
    #[error("the login token is unknown, used or expired")]
    InvalidLoginToken,
    #[error("this account has been deactivated")]
    UserDeactivated,
    #[error("this account has been locked")]
    UserLocked,
    #[error("too many attempts to log in")]
    TooManyAttempts { retry_after_ms: u64 },
    #[error("{0}")]
    WeakPassword(String),
    #[error("this server does not know this type of log-in")]
    UnknownLoginType,
    #[error("the token is unknown or has ended")]
    UnknownToken { soft_logout: bool },
    #[error("there is no such rendezvous, or it has ended")]
    UnknownRendezvous,
    #[error("this request needs an access token")]
    MissingToken,
    #[error("no such device")]
    UnknownDevice,
    #[error("no such profile")]
    UnknownProfile,
    #[error("there is no such registration token")]
    UnknownRegistrationToken,
    #[error("there is no such report")]
    UnknownReport,
    #[error("this field of the profile is not set")]
    UnknownField,
    #[error("the profile would have 64 KiB or more")]
    ProfileTooLarge,
    #[error("the name of a profile field has at most 255 bytes")]
    KeyTooLarge,
    #[error("guests may not do this")]
    Guest,
    #[error("no such user: {0}")]
    UnknownUser(String),
    #[error("{0}")]
    Forbidden(&'static str),
    #[error("{0}")]
    InvalidParam(String),
    #[error("{0}")]
    MissingParam(&'static str),
    #[error("{0}")]
    BadJson(String),
    #[error("{0}")]
    InvalidSignature(String),
    #[error("{0}")]
    NotFound(&'static str),
    #[error("this is not the current version of the backup")]
    WrongRoomKeysVersion { current: String },
    #[error("{0}")]
    TooLarge(&'static str),
    #[error("user-interactive authentication is needed")]
    Challenge(Box<Challenge>),
    #[error("too many passwords are being checked")]
    Busy,
    #[error("too many mails, try again later")]
    LimitExceeded(u64),
    #[error("{0}")]
    ThirdPartyAway(&'static str),
    #[error(transparent)]
    Threepid(#[from] ThreepidError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Internal(String),
}

/// How long a client waits when the password queue is full.
const BUSY_RETRY_MS: u64 = 2_000;

impl From<AuthError> for MatrixError {
    fn from(error: AuthError) -> Self {
        let message = error.to_string();
        match error {
            AuthError::UserInUse => Self::user_in_use(),
            AuthError::InvalidUsername(_) => Self::invalid_username(message),
            AuthError::RegistrationClosed
            | AuthError::NoGuests
            | AuthError::InvalidCredentials
            | AuthError::InvalidLoginToken
            | AuthError::Forbidden(_) => Self::forbidden(message),
            AuthError::RegistrationTokenSpent => Self::unauthorized(message),
            AuthError::UserDeactivated => Self::user_deactivated(),
            AuthError::UserLocked => Self::user_locked(),
            AuthError::TooManyAttempts { retry_after_ms } => Self::limit_exceeded(retry_after_ms.max(1)),
            AuthError::WeakPassword(_) => Self::weak_password(message),
            AuthError::UnknownLoginType => Self::unknown(StatusCode::BAD_REQUEST, message),
            AuthError::UnknownToken { soft_logout } => Self::unknown_token(soft_logout),
            AuthError::MissingToken => Self::missing_token(),
            AuthError::UnknownRendezvous
            | AuthError::UnknownDevice
            | AuthError::UnknownProfile
            | AuthError::UnknownField
            | AuthError::UnknownRegistrationToken
            | AuthError::UnknownReport
            | AuthError::UnknownUser(_)
            | AuthError::NotFound(_) => Self::not_found(message),
            AuthError::BadJson(_) => Self::bad_json(message),
            AuthError::InvalidSignature(_) => Self::new(StatusCode::BAD_REQUEST, "M_INVALID_SIGNATURE", message),
            AuthError::WrongRoomKeysVersion { current } => {
                Self::new(StatusCode::FORBIDDEN, "M_WRONG_ROOM_KEYS_VERSION", message).with("current_version", current)
            }
            AuthError::ProfileTooLarge => Self::new(StatusCode::BAD_REQUEST, "M_PROFILE_TOO_LARGE", message),
            AuthError::KeyTooLarge => Self::new(StatusCode::BAD_REQUEST, "M_KEY_TOO_LARGE", message),
            AuthError::Guest => Self::guest_access_forbidden(message),
            AuthError::InvalidParam(_) => Self::invalid_param(message),
            AuthError::MissingParam(_) => Self::missing_param(message),
            AuthError::TooLarge(_) => Self::new(StatusCode::BAD_REQUEST, "M_TOO_LARGE", message),
            AuthError::Challenge(challenge) => (*challenge).into(),
            AuthError::Busy => Self::limit_exceeded(BUSY_RETRY_MS),
            AuthError::LimitExceeded(retry_after_ms) => Self::limit_exceeded(retry_after_ms),
            AuthError::ThirdPartyAway(_) => Self::unknown(StatusCode::BAD_GATEWAY, message),
            AuthError::Threepid(error) => error.into(),
            AuthError::Store(error) if error.is_unavailable() || matches!(error, StoreError::Retry(_)) => {
                tracing::warn!(%error, "the database refuses work");
                Self::unavailable()
            }
            AuthError::Store(_) | AuthError::Internal(_) => {
                tracing::error!(error = message, "request failed");
                Self::internal()
            }
        }
    }
}

impl From<AuthError> for tonic::Status {
    fn from(error: AuthError) -> Self {
        MatrixError::from(error).into()
    }
}
