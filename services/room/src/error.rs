//! What can go wrong in a room, and how clients hear of it.

use std::sync::Arc;

use http::StatusCode;
use matrixon_http::MatrixError;
use matrixon_matrix::{BuildError, ContentError, Rejection};
use matrixon_store::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum RoomError {
    /// The authorization rules, or the requester's place in the room, do not allow it.
    #[error("{0}")]
    Forbidden(String),
    #[error("a suspended account may not do this")]
    Suspended,
    #[error("guests may not join this room")]
    NoGuests,
    #[error("this server does not know the room")]
    UnknownRoom,
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    BadJson(String),
    #[error("{0}")]
    InvalidParam(String),
    /// The request makes no sense in the room's present state.
    #[error("{0}")]
    BadState(String),
    #[error("leave the room before forgetting it")]
    StillInRoom,
    #[error("the event is too large")]
    TooLarge,
    #[error("{0}")]
    BadAlias(String),
    #[error("the alias is taken")]
    AliasTaken,
    #[error("a new room cannot have this alias: it is taken")]
    AliasInUse,
    #[error("{0}")]
    InvalidRoomState(String),
    #[error("this server does not make rooms of version {0}")]
    UnsupportedVersion(String),
    #[error("invitations by e-mail address or telephone number are not supported by this server")]
    ThirdPartyInvite,
    #[error("{0}")]
    OtherServer(String),
    #[error("none of the rooms that give access to this room has you as a member")]
    CannotAuthoriseJoin,
    /// The room is written to faster than this append could be computed; try again.
    #[error("the room is too busy")]
    Busy,
    #[error("the process is shutting down")]
    Closing,
    #[error(transparent)]
    Store(Arc<StoreError>),
    /// Our fault.
    #[error("internal error: {0}")]
    Internal(String),
}

impl From<StoreError> for RoomError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl From<Rejection> for RoomError {
    fn from(rejection: Rejection) -> Self {
        Self::Forbidden(rejection.0)
    }
}

impl From<ContentError> for RoomError {
    fn from(error: ContentError) -> Self {
        match error {
            ContentError::NotCanonical(_) | ContentError::NotAnObject | ContentError::TooDeep => {
                Self::BadJson(error.to_string())
            }
            ContentError::NameTooLong { .. } | ContentError::Nul { .. } | ContentError::EmptyType => {
                Self::InvalidParam(error.to_string())
            }
        }
    }
}

impl From<BuildError> for RoomError {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Content(error) => error.into(),
            BuildError::TooLarge => Self::TooLarge,
            BuildError::Sign(problem) => Self::Internal(problem),
        }
    }
}

impl From<RoomError> for MatrixError {
    fn from(error: RoomError) -> Self {
        let message = error.to_string();
        match error {
            RoomError::Forbidden(_) | RoomError::CannotAuthoriseJoin => Self::forbidden(message),
            RoomError::Suspended => Self::user_suspended(),
            RoomError::NoGuests => Self::guest_access_forbidden(message),
            RoomError::UnknownRoom | RoomError::NotFound(_) | RoomError::OtherServer(_) => Self::not_found(message),
            RoomError::BadJson(_) => Self::bad_json(message),
            RoomError::InvalidParam(_) => Self::invalid_param(message),
            RoomError::BadState(_) => Self::bad_state(message),
            RoomError::StillInRoom => Self::unknown(StatusCode::BAD_REQUEST, message),
            RoomError::TooLarge => Self::too_large(message),
            RoomError::BadAlias(_) => Self::new(StatusCode::BAD_REQUEST, "M_BAD_ALIAS", message),
            RoomError::AliasTaken => Self::new(StatusCode::CONFLICT, "M_UNKNOWN", message),
            RoomError::AliasInUse => Self::room_in_use(message),
            RoomError::InvalidRoomState(_) => Self::invalid_room_state(message),
            RoomError::UnsupportedVersion(_) => Self::unsupported_room_version(message),
            RoomError::ThirdPartyInvite => Self::new(StatusCode::FORBIDDEN, "M_THREEPID_DENIED", message),
            RoomError::Busy | RoomError::Closing => Self::unavailable(),
            RoomError::Store(error) if error.is_unavailable() => {
                tracing::warn!(%error, "database unavailable");
                Self::unavailable()
            }
            RoomError::Store(error) => {
                tracing::error!(%error, "database error");
                Self::internal()
            }
            RoomError::Internal(problem) => {
                tracing::error!(problem, "internal error");
                Self::internal()
            }
        }
    }
}
