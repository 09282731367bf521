//! Every SQL statement of the auth service, one module a table.

pub(crate) mod access_tokens;
pub(crate) mod devices;
pub(crate) mod refresh_tokens;
pub(crate) mod registration_tokens;
pub(crate) mod revocations;
pub(crate) mod users;
