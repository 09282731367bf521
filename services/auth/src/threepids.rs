//! Third-party identifiers: e-mail addresses that belong to accounts, and the proof that they do.
//!
//! ```text
//! …/requestToken ── threepid_validations, mail_queue ── mail ── link ── page ── confirmed
//!                                                                                  │ sid, client_secret
//!                         register, account/password, account/3pid/add ── consumed, in their transaction
//! ```
//! A confirmation counts for the purpose it was asked for and for nothing else.

pub(crate) mod add;
pub(crate) mod address;
pub(crate) mod bind;
mod error;
pub(crate) mod identity_servers;
pub(crate) mod validate;

pub(crate) use self::error::ThreepidError;

/// The only medium that we can validate.
pub(crate) const EMAIL: &str = "email";

/// What an address is confirmed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Purpose {
    Register,
    Password,
    Add,
}

impl Purpose {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Password => "password",
            Self::Add => "add",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Register, Self::Password, Self::Add].into_iter().find(|purpose| purpose.as_str() == name)
    }
}

/// A validation that a client says is done.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Credentials {
    pub sid: String,
    pub client_secret: String,
}
