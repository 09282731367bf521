//! Accounts: names, passwords, registration.

pub(crate) mod change_password;
pub(crate) mod create;
pub(crate) mod deactivate;
pub(crate) mod guests;
pub(crate) mod localpart;
pub(crate) mod moderation;
pub(crate) mod password;
