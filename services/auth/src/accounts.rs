//! Accounts: names, passwords, registration.

pub(crate) mod change_password;
pub(crate) mod create;
pub(crate) mod localpart;
pub(crate) mod password;
pub(crate) mod profile;
