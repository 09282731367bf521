//! Keys of devices and users: identity, one-time, fallback and cross-signing keys, and their signatures.
//! <https://spec.matrix.org/v1.19/client-server-api/#end-to-end-encryption>

pub(crate) mod claim;
pub(crate) mod claim_writer;
pub(crate) mod cross_signing;
pub(crate) mod dehydrated;
mod device_keys;
mod json;
pub(crate) mod keyring;
pub(crate) mod known_queues;
mod one_time;
pub(crate) mod prune;
pub(crate) mod query;
pub(crate) mod signatures;
mod signed;
#[cfg(test)]
mod tests;
pub(crate) mod upload;
