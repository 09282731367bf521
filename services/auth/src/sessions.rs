//! Sessions: a device with its tokens, from log-in to revocation.

mod attempts;
pub(crate) mod authenticate;
pub(crate) mod devices;
pub(crate) mod end;
pub(crate) mod last_seen;
pub(crate) mod login;
pub(crate) mod login_tokens;
pub(crate) mod refresh;
pub(crate) mod revocations;
pub(crate) mod start;
pub(crate) mod tokens;
