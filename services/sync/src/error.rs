//! What can go wrong here, and how clients hear of it.

use std::sync::Arc;

use http::StatusCode;
use matrixon_http::MatrixError;
use matrixon_store::{StoreError, streams::AppendError};

#[derive(Debug, thiserror::Error)]
pub(crate) enum SyncError {
    #[error("`since` is not a token of this server")]
    BadToken,
    /// The database does not know these positions (yet).
    #[error("`since` is a token of the future")]
    FutureToken,
    #[error("{0}")]
    Forbidden(&'static str),
    #[error("{0}")]
    NotFound(&'static str),
    #[error("{0}")]
    InvalidParam(&'static str),
    #[error("{0}")]
    BadJson(String),
    /// Data that the server keeps itself.
    #[error("{0}")]
    NotAllowed(&'static str),
    #[error("{0}")]
    TooLarge(&'static str),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Append(Arc<StoreError>),
    /// Not caught up with the database, or stopping.
    #[error("not able to answer right now")]
    Unavailable,
}

/// The refusal of an append where nothing is ever refused.
#[derive(Debug)]
pub(crate) enum Never {}

/// Why messages to devices are not accepted: more than a request may have.
#[derive(Debug)]
pub(crate) struct TooMany;

impl From<SyncError> for MatrixError {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::BadToken | SyncError::FutureToken => Self::invalid_param(error.to_string()),
            SyncError::Forbidden(message) => Self::forbidden(message),
            SyncError::NotFound(message) => Self::not_found(message),
            SyncError::InvalidParam(message) => Self::invalid_param(message),
            SyncError::BadJson(message) => Self::bad_json(message),
            SyncError::NotAllowed(message) => Self::new(StatusCode::METHOD_NOT_ALLOWED, "M_BAD_JSON", message),
            SyncError::TooLarge(message) => Self::too_large(message),
            SyncError::Store(error) => of_store(&error),
            SyncError::Append(error) => of_store(&error),
            SyncError::Unavailable => Self::unavailable(),
        }
    }
}

fn of_store(error: &StoreError) -> MatrixError {
    if error.is_unavailable() || matches!(error, StoreError::Retry(_)) {
        return MatrixError::unavailable();
    }
    tracing::error!(%error, "the database refused a request");
    MatrixError::internal()
}

impl From<TooMany> for SyncError {
    fn from(_: TooMany) -> Self {
        Self::TooLarge("one request has at most 10,000 messages")
    }
}

impl SyncError {
    /// The only append that may be refused.
    pub(crate) fn of_to_device(error: AppendError<TooMany>) -> Self {
        match error {
            AppendError::Refused(refusal) => refusal.into(),
            AppendError::Store(error) => Self::Append(error),
            AppendError::Closed => Self::Unavailable,
        }
    }
}

impl From<AppendError<Never>> for SyncError {
    fn from(error: AppendError<Never>) -> Self {
        match error {
            AppendError::Store(error) => Self::Append(error),
            AppendError::Refused(never) => match never {},
            AppendError::Closed => Self::Unavailable,
        }
    }
}
