//! Who asks: the typed auth of a handler. A handler that needs a user cannot be registered without one.

use crate::{
    assertion::{Assertion, UserAuth},
    error::MatrixError,
    route::AuthKind,
};

/// What a handler demands of the requester; the route's [`AuthKind`] follows from the type.
pub trait Auth: Sized + Send + 'static {
    const KIND: AuthKind;

    /// `M_MISSING_TOKEN` ← the assertion names no user and one is needed
    fn from_assertion(assertion: &Assertion) -> Result<Self, MatrixError>;
}

/// A session if the request carried a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionalAuth(pub Option<UserAuth>);

/// Who may administer: an administrator's session, or what stands for a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminAuth {
    User(UserAuth),
    /// `token`: the holder of `gateway.admin_token`; `cli:…`: the command line on the database itself.
    Machine(String),
}

impl AdminAuth {
    /// What the audit log calls them.
    pub fn name(&self) -> &str {
        match self {
            Self::User(user) => user.user_id.as_str(),
            Self::Machine(name) => name,
        }
    }
}

/// Anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAuth;

impl Auth for UserAuth {
    const KIND: AuthKind = AuthKind::User;

    fn from_assertion(assertion: &Assertion) -> Result<Self, MatrixError> {
        assertion.user.clone().ok_or_else(MatrixError::missing_token)
    }
}

impl Auth for AdminAuth {
    const KIND: AuthKind = AuthKind::Admin;

    /// `M_MISSING_TOKEN` ← nobody · `M_FORBIDDEN` ← a user who is no administrator
    fn from_assertion(assertion: &Assertion) -> Result<Self, MatrixError> {
        if let Some(machine) = &assertion.machine {
            return Ok(Self::Machine(machine.clone()));
        }
        match &assertion.user {
            Some(user) if user.admin => Ok(Self::User(user.clone())),
            Some(_) => Err(MatrixError::forbidden("only administrators may do this")),
            None => Err(MatrixError::missing_token()),
        }
    }
}

impl Auth for OptionalAuth {
    const KIND: AuthKind = AuthKind::Optional;

    fn from_assertion(assertion: &Assertion) -> Result<Self, MatrixError> {
        Ok(Self(assertion.user.clone()))
    }
}

impl Auth for NoAuth {
    const KIND: AuthKind = AuthKind::None;

    fn from_assertion(_: &Assertion) -> Result<Self, MatrixError> {
        Ok(Self)
    }
}
