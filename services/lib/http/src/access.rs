//! What an account may do besides having a token: guests, suspended and locked accounts.
//!
//! A route says whom it serves ([`Access`], from `RouteOptions`), an account how it stands ([`Standing`]). The gateway asks
//! [`Access::check`] before it forwards, and the service that answers asks again.

use http::StatusCode;

use crate::error::MatrixError;

/// How an account stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// <https://spec.matrix.org/v1.19/client-server-api/#guest-access>
    pub guest: bool,
    /// <https://spec.matrix.org/v1.19/client-server-api/#account-suspension>
    pub suspended: bool,
    /// <https://spec.matrix.org/v1.19/client-server-api/#account-locking>
    pub locked: bool,
}

/// Whom a route serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    pub guests: bool,
    pub suspended: bool,
    pub locked: bool,
}

impl Default for Access {
    fn default() -> Self {
        Self { guests: false, suspended: true, locked: false }
    }
}

impl Access {
    /// `M_USER_LOCKED` ← a locked account · `M_GUEST_ACCESS_FORBIDDEN` ← a guest · `M_USER_SUSPENDED` ← a suspended
    /// account, each where the route does not serve it
    pub fn check(self, standing: Standing) -> Result<(), MatrixError> {
        if standing.locked && !self.locked {
            return Err(MatrixError::user_locked());
        }
        if standing.guest && !self.guests {
            return Err(MatrixError::guest_access_forbidden("guests may not do this"));
        }
        if standing.suspended && !self.suspended {
            return Err(MatrixError::user_suspended());
        }
        Ok(())
    }
}

impl Standing {
    const GUEST: u32 = 1;
    const SUSPENDED: u32 = 2;
    const LOCKED: u32 = 4;

    pub(crate) fn to_bits(self) -> u32 {
        let bit = |set: bool, bit: u32| if set { bit } else { 0 };
        bit(self.guest, Self::GUEST) | bit(self.suspended, Self::SUSPENDED) | bit(self.locked, Self::LOCKED)
    }

    pub(crate) fn from_bits(bits: u32) -> Self {
        Self {
            guest: bits & Self::GUEST != 0,
            suspended: bits & Self::SUSPENDED != 0,
            locked: bits & Self::LOCKED != 0,
        }
    }
}

impl MatrixError {
    /// The session stays: it goes on when the account is unlocked.
    pub fn user_locked() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "M_USER_LOCKED", "this account has been locked").with("soft_logout", true)
    }

    pub fn user_suspended() -> Self {
        Self::new(StatusCode::FORBIDDEN, "M_USER_SUSPENDED", "a suspended account may not do this")
    }

    pub fn guest_access_forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "M_GUEST_ACCESS_FORBIDDEN", message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(access: Access, bits: u32) -> Option<String> {
        access.check(Standing::from_bits(bits)).err().map(|error| error.errcode)
    }

    #[test]
    fn each_standing_is_refused_where_the_route_does_not_serve_it() {
        let default = Access::default();
        let codes: Vec<_> = (0..8).map(|bits| refused(default, bits)).collect();
        let locked = || Some("M_USER_LOCKED".to_owned());
        let guest = || Some("M_GUEST_ACCESS_FORBIDDEN".to_owned());
        assert_eq!(codes, [None, guest(), None, guest(), locked(), locked(), locked(), locked()]);
        let members_only = Access { suspended: false, ..default };
        assert_eq!(refused(members_only, 2).as_deref(), Some("M_USER_SUSPENDED"));
        let logout = Access { guests: true, suspended: true, locked: true };
        assert!((0..8).all(|bits| refused(logout, bits).is_none()));
    }

    #[test]
    fn bits_are_read_back() {
        assert!((0..8).all(|bits| Standing::from_bits(bits).to_bits() == bits));
    }
}
