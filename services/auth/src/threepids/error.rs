//! What is refused about third-party identifiers.

use http::StatusCode;
use matrixon_http::MatrixError;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ThreepidError {
    #[error("this server cannot confirm addresses of this kind")]
    MediumNotSupported,
    #[error("this address belongs to an account already")]
    InUse,
    #[error("no account has this address")]
    NotFound,
    #[error("this server does not accept this address")]
    Denied,
    #[error("this address has not been confirmed")]
    AuthFailed,
    #[error("this link or token is not valid, or has been replaced")]
    TokenIncorrect,
    #[error("the time to confirm this address is over; ask for a new mail")]
    SessionExpired,
    #[error("this server does not work with that identity server")]
    ServerNotTrusted,
    #[error("the identity server does not answer")]
    ServerAway,
    /// What an identity server said, handed on.
    #[error("{message}")]
    Foreign { status: u16, errcode: String, message: String },
}

impl From<ThreepidError> for MatrixError {
    fn from(error: ThreepidError) -> Self {
        let message = error.to_string();
        let (status, errcode) = match error {
            ThreepidError::MediumNotSupported => (StatusCode::BAD_REQUEST, "M_THREEPID_MEDIUM_NOT_SUPPORTED"),
            ThreepidError::InUse => (StatusCode::BAD_REQUEST, "M_THREEPID_IN_USE"),
            ThreepidError::NotFound => (StatusCode::BAD_REQUEST, "M_THREEPID_NOT_FOUND"),
            ThreepidError::Denied => (StatusCode::FORBIDDEN, "M_THREEPID_DENIED"),
            ThreepidError::AuthFailed => (StatusCode::FORBIDDEN, "M_THREEPID_AUTH_FAILED"),
            ThreepidError::TokenIncorrect => (StatusCode::BAD_REQUEST, "M_TOKEN_INCORRECT"),
            ThreepidError::SessionExpired => (StatusCode::BAD_REQUEST, "M_SESSION_EXPIRED"),
            ThreepidError::ServerNotTrusted => (StatusCode::BAD_REQUEST, "M_SERVER_NOT_TRUSTED"),
            ThreepidError::ServerAway => (StatusCode::BAD_GATEWAY, "M_UNKNOWN"),
            ThreepidError::Foreign { status, errcode, .. } => {
                // of theirs only what a client can do something about: their 5xx is not our failure
                let status = StatusCode::from_u16(status).ok().filter(StatusCode::is_client_error);
                return Self::new(status.unwrap_or(StatusCode::BAD_GATEWAY), errcode, message);
            }
        };
        Self::new(status, errcode, message)
    }
}
