//! Why an attempt failed, as far as that decides what happens next.

use std::{error::Error, sync::Arc};

use http::Request;
use tonic::body::Body;

use crate::BoxError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No connection could be opened; nothing was sent.
    Refused,
    /// The connection died with the call on it.
    Lost,
    /// The replica closed the connection in an orderly way before it looked at the call.
    GoingAway,
    /// The replica gave up this one call.
    Reset,
    /// The replica answered that it takes no more calls.
    Draining,
    /// All connections are full.
    Overloaded,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] =
        [Self::Refused, Self::Lost, Self::GoingAway, Self::Reset, Self::Draining, Self::Overloaded];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Lost => "lost",
            Self::GoingAway => "going_away",
            Self::Reset => "reset",
            Self::Draining => "draining",
            Self::Overloaded => "overloaded",
        }
    }

    /// The callee has certainly not begun with the call.
    pub(crate) fn is_untouched(self) -> bool {
        matches!(self, Self::Refused | Self::GoingAway | Self::Draining | Self::Overloaded)
    }
}

pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) source: Arc<dyn Error + Send + Sync>,
    /// The request itself, when nothing of it was used up.
    pub(crate) unsent: Option<Box<Request<Body>>>,
}

impl Failure {
    pub(crate) fn new(kind: Kind, source: impl Into<BoxError>) -> Self {
        Self { kind, source: Arc::from(source.into()), unsent: None }
    }

    pub(crate) fn unsent(kind: Kind, source: impl Into<BoxError>, request: Request<Body>) -> Self {
        Self { unsent: Some(Box::new(request)), ..Self::new(kind, source) }
    }

    pub(super) fn of(error: hyper::Error, unsent: Option<Request<Body>>) -> Self {
        let kind = if unsent.is_some() { Kind::GoingAway } else { kind_of(&error) };
        Self { unsent: unsent.map(Box::new), ..Self::new(kind, error) }
    }
}

/// What an error of hyper says about the connection.
pub(super) fn kind_of(error: &(dyn Error + 'static)) -> Kind {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            return kind_of_h2(error);
        }
        cause = error.source();
    }
    Kind::Lost
}

fn kind_of_h2(error: &h2::Error) -> Kind {
    if error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR) {
        return Kind::GoingAway;
    }
    if error.is_reset() && error.is_remote() {
        return if error.reason() == Some(h2::Reason::REFUSED_STREAM) { Kind::GoingAway } else { Kind::Reset };
    }
    Kind::Lost
}
