//! The roles a process can play (`matrixon serve ROLE,…`).

use std::{fmt, str::FromStr};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    Gateway,
    Auth,
    Room,
    Sync,
    Media,
    Federation,
}

impl Role {
    pub const ALL: [Self; 6] = [Self::Gateway, Self::Auth, Self::Room, Self::Sync, Self::Media, Self::Federation];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Auth => "auth",
            Self::Room => "room",
            Self::Sync => "sync",
            Self::Media => "media",
            Self::Federation => "federation",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a role; the roles are gateway, auth, room, sync, media and federation")]
pub struct UnknownRole(String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|role| role.as_str() == s).ok_or_else(|| UnknownRole(s.to_owned()))
    }
}
