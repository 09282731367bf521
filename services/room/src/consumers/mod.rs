//! What this service does about other services' streams.

pub(crate) mod profiles;
